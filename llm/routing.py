"""Which key of which provider a Managed request tries, in what order. Pure: chance and time are passed in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    now: float,
    chance: Callable[[], float],
) -> Iterator[Candidate]:
    """Give what to try, best first: route by route, each with its keys by weighted chance.

    Left out are keys without room, cooling keys and providers whose breaker is open; if that leaves nothing at
    all, cooling keys come after all, the soonest ready first: a slim chance beats a certain refusal.
    """
    any_given = False
    for route in routes:
        if not health.breaker(route.provider).lets_through(now):
            continue
        fit = [key for key in keys if key.provider == route.provider and occupancy.has_room(key)]
        for key in _by_chance([key for key in fit if not health.key(key.id).cooling(now)], chance):
            # Looked at again: an earlier attempt of this same request may have opened the breaker.
            if health.breaker(route.provider).lets_through(now):
                any_given = True
                yield Candidate(route=route, key=key)
    if any_given:
        return
    last_resort = [
        Candidate(route=route, key=key)
        for route in routes
        for key in keys
        if key.provider == route.provider and occupancy.has_room(key)
    ]
    yield from sorted(last_resort, key=lambda each: health.key(each.key.id).cooling_until)


def _by_chance(keys: list[Key], chance: Callable[[], float]) -> list[Key]:
    """Shuffle so that a key is first as often as its share of the weights (Efraimidis and Spirakis, 2006)."""
    return sorted(keys, key=lambda key: chance() ** (1 / max(key.weight, 1)), reverse=True)
