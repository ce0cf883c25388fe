"""What the gateway knows of an agent, remembered for at most five seconds.

The hot path makes no query: a token's digest leads to a snapshot in memory. When the database is away, what is
known stays in use until it's back.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec
import structlog
from django.conf import settings
from django.db import Error, close_old_connections
from django.db.models import Prefetch
from django.utils import timezone

from agents.catalogue import CUSTOM, providers
from agents.crypto import CannotOpen
from agents.models import Agent, AgentToken, Mode, ProviderKey
from agents.plans import month_terms, tier_at
from agents.tokens import digest as digest_of
from llm.errors import InvalidAgentToken, ServiceUnavailable
from llm.models import Arm, Experiment
from llm.providers.base import SavedKey, Target
from llm.split import Split
from metering.thresholds import limits

FRESH_FOR: Final = 5.0  # seconds
PATIENCE: Final = 1.0  # seconds to wait for the database where an older snapshot would do
LAST_PATIENCE: Final = 5.0  # seconds to wait where there is none
NOBODYS_AT_MOST: Final = 10_000  # invalid tokens to remember
NEVER: Final = float("-inf")

_RUNNING: Final = Prefetch(
    "agent__experiments",
    queryset=Experiment.objects.filter(status=Experiment.Status.RUNNING).prefetch_related("arms__key"),
)

log = structlog.get_logger(__name__)


class PlanSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A Managed agent's plan: ``most_tokens`` is all that the month allows, what goes beyond the allowance included;
    ``list_per_million`` is the list value of a million tokens in USD; at ``marks`` (tokens) its owner is told."""

    tier: str
    most_tokens: int
    list_per_million: Decimal
    marks: tuple[int, ...] = ()
    paused: bool = False  # an invoice isn't paid


class AgentSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as of a moment ago: on a plan, or with a key of its owner's (``target``), or with neither yet.

    ``backup`` is another key of its owner's, for when the first one's provider fails. While an experiment runs,
    ``split`` says which of its ``arms``, each a snapshot of its own, answers whom. One that answers in the agent's
    place (see :func:`in_place_of`) may have its ``target``'s model asked whatever the request names (``names_model``),
    go over another tier's ``routes``, or add ``instructions`` to the system prompt.
    """

    agent_id: str
    workspace_id: str
    mode: str
    paused: bool
    target: Target | None
    backup: Target | None = None
    plan: PlanSnapshot | None = None
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    split: Split | None = None
    arms: tuple["AgentSnapshot", ...] = ()
    arm: str = ""
    names_model: bool = False
    routes: str = ""
    instructions: str = ""

    @property
    def replaced(self) -> bool:
        """Whether requests are changed before they are asked."""
        return self.names_model or bool(self.instructions)


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """What answers in place of what an agent has. On its owner's keys: ``key`` (None: the agent's own) and ``model``
    ("": the one that the request names); on a plan: the routes of ``tier``. ``arm`` is noted in the record."""

    key: ProviderKey | None = None
    model: str = ""
    tier: str = ""
    instructions: str = ""
    arm: str = ""


class CannotOverride(Exception):
    """It isn't the agent's to be answered so: another workspace's key, a key while on a plan, a plan while on keys."""


class _Entry(msgspec.Struct, frozen=True):
    snapshot: AgentSnapshot
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
        # Apart, so that who tries tokens out doesn't crowd the valid ones out.
        self._nobodys: dict[str, float] = {}
        self._changes = 0
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
        if entry and entry.fresh_until >= self._clock():
            return entry.snapshot
        snapshot = None
        if entry or self._nobodys.get(digest, NEVER) < self._clock():
            snapshot = await self._refreshed(digest, entry)
        if snapshot is None:
            raise InvalidAgentToken("This agent token isn't valid. Make a new one in the agent's settings.")
        return snapshot

    def forget(self, agent_ids: Iterable[str]) -> None:
        """Fetch these agents anew at their next request. May be called from any thread."""
        # What is being read at this moment may be from before the change: it is used once and not remembered.
        self._changes += 1
        self._loading.clear()
        gone = set(agent_ids)
        for digest, entry in self._entries.copy().items():
            if entry.snapshot.agent_id in gone:
                self._entries.pop(digest, None)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _refreshed(self, digest: str, stale: _Entry | None) -> AgentSnapshot | None:
        changes = self._changes
        try:
            # Shielded: one caller who leaves doesn't spoil it for the others who wait for the same agent.
            patience = PATIENCE if stale else LAST_PATIENCE
            snapshot = await asyncio.wait_for(asyncio.shield(self._being_loaded(digest)), patience)
        except (Error, TimeoutError) as error:
            log.warning("agents_database_unavailable", error=type(error).__name__, known=stale is not None)
            if stale is None:
                raise ServiceUnavailable("We can't look up this agent right now. Try again in a moment.") from None
            snapshot = stale.snapshot
        self._remember(digest, snapshot)
        if changes != self._changes:  # looked at last: forget, in another thread, counts first and then forgets
            self._entries.pop(digest, None)
        return snapshot

    def _being_loaded(self, digest: str) -> "asyncio.Future[AgentSnapshot | None]":
        """Return the load under way, or begin one."""
        known = self._loading.get(digest)
        if known:
            return known
        loading = asyncio.get_running_loop().run_in_executor(self._threads, self._load, digest)

        def loaded(_done: object) -> None:
            if self._loading.get(digest) is loading:
                self._loading.pop(digest, None)

        self._loading[digest] = loading
        loading.add_done_callback(loaded)
        return loading

    def _remember(self, digest: str, snapshot: AgentSnapshot | None) -> None:
        fresh_until = self._clock() + FRESH_FOR
        if snapshot:
            self._entries[digest] = _Entry(snapshot=snapshot, fresh_until=fresh_until)
            return
        self._entries.pop(digest, None)
        if len(self._nobodys) >= NOBODYS_AT_MOST:
            self._nobodys.clear()
        self._nobodys[digest] = fresh_until


def load(digest: str) -> AgentSnapshot | None:
    """Read the agent of a token's digest from the database; None when the token is unknown or no longer valid.

    Raises:
        django.db.Error: when the database is away.
    """
    close_old_connections()
    token = (
        AgentToken.objects.select_related("agent__workspace", "agent__provider_key", "agent__backup_key")
        .prefetch_related("agent__stays", _RUNNING)
        .filter(digest=digest, revoked_at=None, agent__deleted_at=None)
        .first()
    )
    if token is None:
        return None
    with contextlib.suppress(Error):  # a database that can only be read is good enough
        token.touch()
    agent, snapshot = token.agent, snapshot_of(token.agent, at=timezone.now())
    for running in agent.experiments.all():  # there is one at most
        return divided(snapshot, agent, running)
    return snapshot


def snapshot_of(agent: Agent, *, at: datetime) -> AgentSnapshot:
    """Return what the gateway needs of ``agent`` at a moment, its key opened."""
    plan, pace = _plan(agent, at=at), agent.pace(at)
    return AgentSnapshot(
        agent_id=str(agent.pk),
        workspace_id=str(agent.workspace_id),
        mode=Mode.MANAGED if plan else Mode.BYOKEY,
        paused=agent.paused,
        target=None if plan else _target(agent, agent.provider_key, model=agent.model),
        backup=None if plan else _target(agent, agent.backup_key, model=agent.backup_model),
        plan=plan,
        requests_per_minute=pace.requests,
        tokens_per_minute=pace.tokens,
    )


def in_place_of(snapshot: AgentSnapshot, agent: Agent, override: Override) -> AgentSnapshot:
    """Return what answers the agent's requests with an override; give it to ``Gateway.complete``.

    Raises:
        CannotOverride: when the agent can't be answered so.
    """
    if (override.tier and not snapshot.plan) or ((override.key or override.model) and snapshot.plan):
        raise CannotOverride("on a plan, only other plans can answer; on one's own keys, only keys")
    target = snapshot.target
    if override.key:
        target = _target(agent, override.key, model=override.model or agent.model)
    elif override.model and target:
        target = msgspec.structs.replace(target, model=override.model)
    if target is None and snapshot.plan is None:
        raise CannotOverride("there is no key to answer with")
    backup = snapshot.backup
    if backup and override.model:  # without a model of its own, it was meant for the agent's
        backup = msgspec.structs.replace(backup, model=backup.model or agent.model)
    return msgspec.structs.replace(
        snapshot,
        target=target,
        backup=backup,
        names_model=bool(override.model),
        routes=override.tier,
        instructions=override.instructions,
        arm=override.arm,
        split=None,
        arms=(),
    )


def divided(snapshot: AgentSnapshot, agent: Agent, experiment: Experiment) -> AgentSnapshot:
    """Return an agent whose traffic is divided among the arms of an experiment.

    Where one of them can't answer as it is meant to, nothing is divided: the others alone would be no comparison.
    """
    if experiment.obstacle(tier=snapshot.plan.tier if snapshot.plan else None):
        return snapshot
    try:
        arms = [(arm.weight, in_place_of(snapshot, agent, _override(arm))) for arm in experiment.arms.all()]
    except CannotOverride:
        return snapshot
    split = Split(experiment_id=str(experiment.pk), weights=tuple(weight for weight, _arm in arms))
    return msgspec.structs.replace(snapshot, split=split, arms=tuple(arm for _weight, arm in arms))


def _override(arm: Arm) -> Override:
    return Override(key=arm.key, model=arm.model, tier=arm.tier, instructions=arm.instructions, arm=str(arm.pk))


def _plan(agent: Agent, *, at: datetime) -> PlanSnapshot | None:
    history = agent.history()
    tier, terms = tier_at(history, at), month_terms(history, month=at)
    if tier is None or terms is None:
        return None
    thresholds = limits(terms.plan, ceiling=agent.ceiling(terms))
    return PlanSnapshot(
        tier=tier,
        most_tokens=thresholds.most,
        list_per_million=terms.plan.list_per_million,
        marks=tuple(tokens for _kind, tokens in thresholds.marks()),
        paused=agent.workspace.managed_paused_at is not None,
    )


def _target(agent: Agent, key: ProviderKey | None, *, model: str) -> Target | None:
    # Nobody's agent runs on another workspace's key, whatever the row says.
    if key is None or key.workspace_id != agent.workspace_id:
        return None
    try:
        secret = key.open()
    except CannotOpen as error:
        log.error("key_cannot_be_opened", agent_id=str(agent.pk), reason=str(error))
        return None
    provider = providers()[key.provider]
    base_url = key.base_url if key.provider == CUSTOM else settings.PROVIDER_BASE_URL(provider.id, provider.base_url)
    saved = SavedKey(id=key.pk, changed_at=key.changed_at, refused=bool(key.trouble))
    return Target(provider=provider.id, model=model, base_url=base_url, key=secret, saved=saved)
