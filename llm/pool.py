"""Our own keys at work: which way a Managed request can take next, and how the keys are doing."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
import structlog
from django.conf import settings
from django.db import Error, close_old_connections

from agents.catalogue import providers
from agents.crypto import CannotOpen, Secret
from llm.condition import Condition, KeyCondition
from llm.health import Health, Meaning
from llm.models import PoolKey, Route
from llm.news import KeyCools, KeyWorks, PoolNews, ProviderDown, ProviderUp
from llm.providers.base import Target
from llm.routing import Candidate, Explained, Key, Occupancy, PoolRoute, candidates, explain

FRESH_FOR: Final = 5.0  # seconds
WORTH_TELLING: Final = 1.0  # seconds by which a key must cool longer than the others know

log = structlog.get_logger(__name__)


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request may go. ``key_id`` names one of our own keys, and is empty for a customer's."""

    target: Target
    key_id: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended: with a status, or without any (None). Not ``known``: the caller left, which says nothing.

    ``retry_after``: the seconds that the provider asked to be left alone.
    """

    known: bool = False
    status: int | None = None
    retry_after: float | None = None


class Arrangement(msgspec.Struct, frozen=True, kw_only=True):
    """Routes by tier and the keys for them, as staff arranged them."""

    routes: Mapping[str, tuple[PoolRoute, ...]]
    keys: tuple[Key, ...]
    secrets: Mapping[str, Secret]


class Pool:
    """The keys of this process's Managed requests. Health and occupancy are kept here, in memory.

    What goes wrong is told to the other processes with ``tell``, where somebody sets it.
    """

    def __init__(
        self,
        *,
        load: Callable[[], Arrangement],
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Fetch with ``load`` (in a thread) what staff arranged, at most every five seconds."""
        self.health = Health()
        self._load = load
        self.tell: Callable[[PoolNews], None] = _nobody
        self._clock = clock
        self._chance = chance
        self._arrangement: Arrangement | None = None
        self._fresh_until = 0.0
        self._on_key: Counter[str] = Counter()
        self._of_workspace: Counter[tuple[str, str]] = Counter()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pool")
        self._loading = asyncio.Lock()

    async def ways(self, *, tier: str, workspace_id: str) -> Iterator[Way]:
        """Give the ways that a request of ``tier`` can take, best first. None are left where nothing is arranged.

        Raises:
            django.db.Error: when the database is away and nothing is known yet.
        """
        arrangement = await self._arranged()
        found = candidates(
            routes=arrangement.routes.get(tier, ()),
            keys=arrangement.keys,
            health=self.health,
            occupancy=self._occupancy(workspace_id),
            clock=self._clock,
            chance=self._chance,
        )
        return (_way(each, arrangement) for each in found)

    def begin(self, way: Way, *, workspace_id: str) -> None:
        """Note that a request goes out this way."""
        self._on_key[way.key_id] += 1
        self._of_workspace[workspace_id, way.key_id] += 1
        self.health.begin(provider=way.target.provider)

    def leave(self, way: Way, outcome: Outcome, *, workspace_id: str, took: float) -> None:
        """Note how a request's use of a way ended, after ``took`` seconds."""
        _one_less(self._on_key, way.key_id)
        _one_less(self._of_workspace, (workspace_id, way.key_id))
        provider = way.target.provider
        if not outcome.known:
            self.health.abandoned(provider=provider)
            return
        now = self._clock()
        cooled_until, was_down = self.health.key(way.key_id).cooling_until, self.health.breaker(provider).open
        meaning = self.health.ended(
            key_id=way.key_id,
            provider=provider,
            status=outcome.status,
            now=now,
            latency=took,
            retry_after=outcome.retry_after,
        )
        if meaning.moves_on:
            log.warning("pool_attempt_failed", key=way.key_id, provider=provider, meaning=meaning.value)
        self._tell_of_key(way.key_id, now=now, cooled_until=max(cooled_until, now))
        self._tell_of_provider(provider, meaning, now=now, was_down=was_down)

    def hear(self, news: PoolNews) -> None:
        """Take another process's word for how a key or provider is doing. May be called from any thread."""
        now = self._clock()
        match news:
            case KeyCools():
                self.health.cool(news.key_id, until=now + news.seconds, reason=news.reason)
            case KeyWorks():
                self.health.mend(news.key_id)
            case ProviderDown():
                self.health.down(news.provider, until=now + news.seconds)
            case ProviderUp():
                self.health.up(news.provider)

    def condition(self) -> Condition:
        """Return how keys and providers are doing, as seen here. May be called from any thread."""
        now = self._clock()
        return Condition(
            keys={
                key_id: self._key_condition(key_id, now) for key_id in {*self.health.keys.copy(), *self._on_key.copy()}
            },
            down_for={
                provider: max(breaker.open_until - now, 0.0)
                for provider, breaker in self.health.breakers.copy().items()
                if breaker.open
            },
        )

    def explain(self, *, tier: str, arrangement: Arrangement) -> list[Explained]:
        """Tell where a request of ``tier`` could go at this moment, and what is passed over. From any thread."""
        return explain(
            routes=arrangement.routes.get(tier, ()),
            keys=arrangement.keys,
            health=self.health,
            occupancy=Occupancy(on_key=self._on_key, of_workspace={}),
            now=self._clock(),
        )

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _key_condition(self, key_id: str, now: float) -> KeyCondition:
        key = self.health.key(key_id)
        return KeyCondition(
            cools_for=max(key.cooling_until - now, 0.0),
            reason=key.reason if key.cooling(now) else "",
            attempts=key.attempts,
            success_rate=key.success_rate,
            latency=key.latency,
            under_way=self._on_key.get(key_id, 0),
        )

    def _tell_of_key(self, key_id: str, *, now: float, cooled_until: float) -> None:
        key = self.health.key(key_id)
        # Of a hundred requests refused at the same moment, one is news.
        if key.cooling_until > cooled_until + WORTH_TELLING:
            self.tell(KeyCools(key_id=key_id, seconds=key.cooling_until - now, reason=key.reason))

    def _tell_of_provider(self, provider: str, meaning: Meaning, *, now: float, was_down: bool) -> None:
        breaker = self.health.breaker(provider)
        if was_down and not breaker.open:
            self.tell(ProviderUp(provider=provider))
        elif meaning is Meaning.FAULT and breaker.open:
            self.tell(ProviderDown(provider=provider, seconds=breaker.open_until - now))

    def _occupancy(self, workspace_id: str) -> Occupancy:
        mine = {key_id: count for (workspace, key_id), count in self._of_workspace.items() if workspace == workspace_id}
        return Occupancy(on_key=self._on_key, of_workspace=mine)

    async def _arranged(self) -> Arrangement:
        if self._arrangement and self._clock() < self._fresh_until:
            return self._arrangement
        async with self._loading:
            if self._arrangement is None or self._clock() >= self._fresh_until:
                try:
                    self._arrangement = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
                except Error as error:
                    log.warning("pool_database_unavailable", error=type(error).__name__)
                    if self._arrangement is None:
                        raise
                self._fresh_until = self._clock() + FRESH_FOR
        return self._arrangement


def _nobody(_news: PoolNews) -> None:
    """Nobody else has to know."""


def _one_less(counter: "Counter[Any]", key: object) -> None:
    """Count one down and forget what came to nothing: workspaces come and go."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _way(candidate: Candidate, arrangement: Arrangement) -> Way:
    provider = providers()[candidate.route.provider]
    target = Target(
        provider=provider.id,
        model=candidate.route.model,
        base_url=settings.PROVIDER_BASE_URL(provider.id, provider.base_url),
        key=arrangement.secrets[candidate.key.id],
    )
    return Way(target=target, key_id=candidate.key.id)


def load() -> Arrangement:
    """Read the arrangement in a thread of one's own, on a connection that is alive."""
    close_old_connections()
    return arranged()


def arranged() -> Arrangement:
    """Read routes and keys from the database. A key that doesn't open is left out, and the log says so."""
    routes: dict[str, list[PoolRoute]] = {}
    for route in Route.objects.filter(enabled=True).order_by("tier", "position"):
        routes.setdefault(route.tier, []).append(PoolRoute(provider=route.provider, model=route.model))
    keys, secrets = [], {}
    for row in PoolKey.objects.filter(enabled=True):
        try:
            secrets[str(row.pk)] = row.open()
        except CannotOpen as error:
            log.error("pool_key_cannot_be_opened", key=str(row.pk), reason=str(error))
            continue
        keys.append(Key(id=str(row.pk), provider=row.provider, weight=row.weight, places=row.places))
    return Arrangement(routes={tier: tuple(ways) for tier, ways in routes.items()}, keys=tuple(keys), secrets=secrets)
