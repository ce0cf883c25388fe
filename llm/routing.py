"""Which key of which provider a Managed request tries, in what order. Pure: chance and time are passed in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from llm.health import Health

# Of a pool key's places, one workspace may hold at most this share while others could want them.
WORKSPACE_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRoute:
    """One line of a tier's list: what to ask for, and where."""

    provider: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A pool key: ``weight`` is how often it's first, ``places`` how many requests it takes at once."""

    id: str
    provider: str
    weight: int
    places: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A route with the key to take it with."""

    route: PoolRoute
    key: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """How many requests are under way: on a key in all, and on a key for one workspace."""

    on_key: Mapping[str, int]
    of_workspace: Mapping[str, int]

    def has_room(self, key: Key) -> bool:
        """Whether one more request of the workspace fits on the key."""
        fair = max(1, int(key.places * WORKSPACE_SHARE))
        return self.on_key.get(key.id, 0) < key.places and self.of_workspace.get(key.id, 0) < fair


def candidates(
    *,
    routes: Sequence[PoolRoute],
    keys: Sequence[Key],
    health: Health,
    occupancy: Occupancy,
    clock: Callable[[], float],
    chance: Callable[[], float],
) -> Iterator[Candidate]:
    """Give what to try, best first: route by route, each with its keys by weighted chance.

    Keys without room are left out. Cooling keys and providers whose breaker is open come last, the soonest ready
    first, for whom nothing better has answered: a slim chance beats a certain refusal. What is fit is looked at when
    it's its turn: an attempt before it may have hung for half a minute.
    """
    given: set[tuple[PoolRoute, str]] = set()
    for route in routes:
        now = clock()
        if not health.breaker(route.provider).lets_through(now):
            continue
        fit = [key for key in keys if key.provider == route.provider and occupancy.has_room(key)]
        for key in _by_chance([key for key in fit if not health.key(key.id).cooling(now)], chance):
            # Looked at again: an earlier attempt of this same request may have opened the breaker.
            if health.breaker(route.provider).lets_through(clock()):
                given.add((route, key.id))
                yield Candidate(route=route, key=key)
    last_resort = [
        Candidate(route=route, key=key)
        for route in routes
        for key in keys
        if key.provider == route.provider and occupancy.has_room(key) and (route, key.id) not in given
    ]
    yield from sorted(last_resort, key=lambda each: health.ready_at(each.key.id, each.key.provider))


def _by_chance(keys: list[Key], chance: Callable[[], float]) -> list[Key]:
    """Shuffle so that a key is first as often as its share of the weights (Efraimidis and Spirakis, 2006)."""
    return sorted(keys, key=lambda key: chance() ** (1 / max(key.weight, 1)), reverse=True)


# --- Why -----------------------------------------------------------------------------------------


class Verdict(Enum):
    """Why a request would take a key, or pass it over."""

    TAKEN = "taken"
    LAST_RESORT = "taken, as nothing better is left"
    FULL = "has no room"
    COOLING = "is cooling"
    DOWN = "its provider is in trouble"
    NO_KEY = "there is no key for it"

    @property
    def goes(self) -> bool:
        """Whether a request may go there."""
        return self in {Verdict.TAKEN, Verdict.LAST_RESORT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A route with one of its keys (None: it has none), and what would become of it.

    ``share`` is how often the key is the route's first, of 1; ``seconds`` until what stands in the way is over.
    """

    route: PoolRoute
    key: Key | None
    verdict: Verdict
    share: float = 0.0
    seconds: float = 0.0


def explain(
    *, routes: Sequence[PoolRoute], keys: Sequence[Key], health: Health, occupancy: Occupancy, now: float
) -> list[Explained]:
    """Return what :func:`candidates` would give first, in order, and after it what would come last, or not at all,
    with the reason.
    """
    looked_at = [
        each for route in routes for each in _explain_route(route, keys, health=health, occupancy=occupancy, now=now)
    ]
    taken = [each for each in looked_at if each.verdict is Verdict.TAKEN]
    left_out = [each for each in looked_at if each.verdict is not Verdict.TAKEN]
    if taken:
        return taken + left_out
    slim = [
        Explained(route=each.route, key=each.key, verdict=Verdict.LAST_RESORT, seconds=each.seconds)
        for each in left_out
        if each.key and occupancy.has_room(each.key)
    ]
    slim.sort(key=lambda each: health.ready_at(each.key.id, each.key.provider) if each.key else 0.0)
    return slim + [each for each in left_out if not (each.key and occupancy.has_room(each.key))]


def _explain_route(
    route: PoolRoute, keys: Sequence[Key], *, health: Health, occupancy: Occupancy, now: float
) -> list[Explained]:
    mine = [key for key in keys if key.provider == route.provider]
    if not mine:
        return [Explained(route=route, key=None, verdict=Verdict.NO_KEY)]
    breaker = health.breaker(route.provider)
    found = []
    for key in mine:
        if not occupancy.has_room(key):
            found.append(Explained(route=route, key=key, verdict=Verdict.FULL))
        elif not breaker.lets_through(now):
            wait = max(breaker.open_until - now, 0.0)
            found.append(Explained(route=route, key=key, verdict=Verdict.DOWN, seconds=wait))
        elif health.key(key.id).cooling(now):
            wait = health.key(key.id).cooling_until - now
            found.append(Explained(route=route, key=key, verdict=Verdict.COOLING, seconds=wait))
        else:
            found.append(Explained(route=route, key=key, verdict=Verdict.TAKEN))
    return _with_shares(found)


def _with_shares(found: list[Explained]) -> list[Explained]:
    """Say how often each key that is taken comes first; the heaviest stand first."""
    total = sum(_weight(each) for each in found) or 1
    shared = [replace(each, share=_weight(each) / total) for each in found]
    return sorted(shared, key=lambda each: each.share, reverse=True)


def _weight(explained: Explained) -> int:
    key = explained.key
    return max(key.weight, 1) if key and explained.verdict is Verdict.TAKEN else 0
