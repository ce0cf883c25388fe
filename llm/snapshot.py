"""What the gateway knows of an agent, remembered for at most five seconds.

The hot path makes no query: a token's digest leads to a snapshot in memory. When the database is away, what is
known stays in use until it's back.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
import structlog
from django.conf import settings
from django.db import Error, close_old_connections

from agents.catalogue import CUSTOM, providers
from agents.crypto import CannotOpen
from agents.models import Agent, AgentToken, Mode
from agents.models import digest as digest_of
from llm.errors import InvalidAgentToken, ServiceUnavailable
from llm.providers.base import Target

FRESH_FOR: Final = 5.0  # seconds
PATIENCE: Final = 1.0  # seconds to wait for the database where an older snapshot would do
REMEMBERED_AT_MOST: Final = 100_000  # tokens, valid or not

log = structlog.get_logger(__name__)


class AgentSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as of a moment ago. ``target`` is None until it has a key that opens."""

    agent_id: str
    workspace_id: str
    mode: str
    paused: bool
    target: Target | None


class _Entry(msgspec.Struct):
    snapshot: AgentSnapshot | None
    fresh_until: float


class Snapshots:
    """Agents by the digest of their token."""

    def __init__(
        self, *, load: Callable[[str], AgentSnapshot | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Fetch with ``load`` (in a thread) what isn't remembered or isn't fresh."""
        self._load = load
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._loading: dict[str, asyncio.Future[AgentSnapshot | None]] = {}
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="snapshot")

    async def get(self, token: str) -> AgentSnapshot:
        """Return the agent that ``token`` belongs to.

        Raises:
            InvalidAgentToken: when it belongs to none (any more).
            ServiceUnavailable: when the database is away and the token has never been seen.
        """
        digest = digest_of(token)
        entry = self._entries.get(digest)
        if entry is None or entry.fresh_until < self._clock():
            entry = await self._refreshed(digest, entry)
        if entry.snapshot is None:
            raise InvalidAgentToken("This agent token isn't valid. Make a new one in the agent's settings.")
        return entry.snapshot

    def forget(self, agent_ids: Iterable[str]) -> None:
        """Fetch these agents anew at their next request. May be called from any thread."""
        gone = set(agent_ids)
        for digest, entry in list(self._entries.items()):
            if entry.snapshot and entry.snapshot.agent_id in gone:
                self._entries.pop(digest, None)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _refreshed(self, digest: str, stale: _Entry | None) -> _Entry:
        loading = self._loading.get(digest)
        if loading is None:
            loading = asyncio.get_running_loop().run_in_executor(self._threads, self._load, digest)
            self._loading[digest] = loading
            loading.add_done_callback(lambda _done: self._loading.pop(digest, None))
        try:
            # Shielded: one caller who leaves doesn't spoil it for the others who wait for the same agent.
            snapshot = await asyncio.wait_for(asyncio.shield(loading), PATIENCE if stale else None)
        except (Error, TimeoutError) as error:
            log.warning("agents_database_unavailable", error=type(error).__name__, known=stale is not None)
            if stale is None:
                raise ServiceUnavailable("We can't look up this agent right now. Try again in a moment.") from None
            snapshot = stale.snapshot
        if len(self._entries) >= REMEMBERED_AT_MOST:
            self._entries.clear()
        entry = self._entries[digest] = _Entry(snapshot=snapshot, fresh_until=self._clock() + FRESH_FOR)
        return entry


def load(digest: str) -> AgentSnapshot | None:
    """Read the agent of a token's digest from the database; None when the token is unknown or no longer valid.

    Raises:
        django.db.Error: when the database is away.
    """
    close_old_connections()
    token = (
        AgentToken.objects.select_related("agent__provider_key")
        .filter(digest=digest, revoked_at=None, agent__deleted_at=None)
        .first()
    )
    if token is None:
        return None
    token.touch()
    return snapshot_of(token.agent)


def snapshot_of(agent: Agent) -> AgentSnapshot:
    """Return what the gateway needs of ``agent``, its key opened."""
    return AgentSnapshot(
        agent_id=str(agent.pk),
        workspace_id=str(agent.workspace_id),
        mode=agent.mode,
        paused=agent.paused,
        target=_target(agent) if agent.mode == Mode.BYOKEY else None,
    )


def _target(agent: Agent) -> Target | None:
    key = agent.provider_key
    if key is None:
        return None
    try:
        secret = key.open()
    except CannotOpen as error:
        log.error("key_cannot_be_opened", agent_id=str(agent.pk), reason=str(error))
        return None
    provider = providers()[key.provider]
    base_url = key.base_url if key.provider == CUSTOM else settings.PROVIDER_BASE_URL(provider.id, provider.base_url)
    return Target(provider=provider.id, model=agent.model, base_url=base_url, key=secret)
