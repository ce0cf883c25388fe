"""The demo workspace: a bakery with a few agents and three months of plausible usage, made through the services.

Its login and tokens are kept in ``VAR_DIR/demo.json`` (its owner's only), because the database has digests alone.
"""

import json
import math
import os
import random
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from agents import services, subscriptions
from agents.catalogue import ECHO, ECHO_PROVIDER, templates
from agents.models import Agent, AgentToken, Mode, User, Workspace
from agents.plans import TIERS
from agents.tokens import digest
from llm.models import PoolKey, Route
from metering import pricing
from metering.record import Attempt, Record, Status, picodollars, utc_text
from metering.store import get_store
from metering.usage import Usage

EMAIL: Final = "demo@vutler.example"
WORKSPACE: Final = "Demo Bakery"
DAYS: Final = 92
# Monday to Sunday: how busy a day is. A bakery's agents have less to do on Sundays.
WEEK: Final = (1.0, 1.1, 1.15, 1.1, 1.3, 0.8, 0.3)
OPENING_HOURS: Final = (6, 19)
MONTH_DAYS: Final = 30
LIST_PER_MILLION: Final = Decimal(5)  # USD, what a million tokens of a plan is worth
MILLION: Final = 1_000_000
LAST: Final = 99  # after every route that staff arrange


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What somebody trying the product out needs."""

    email: str
    password: str
    agent_token: str
    workspace_token: str
    model: str = ECHO_PROVIDER.models[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """One demo agent with a past: its template, what it runs on, and requests on an average day."""

    name: str
    template: str
    provider: str
    model: str
    requests: int
    request_type: str
    tier: str = Mode.BYOKEY  # or the plan's


PAST: Final = (
    Cast(
        name="Order e-mails",
        template="support-email",
        provider="mistral",
        model="mistral-small-latest",
        requests=14,
        request_type="email",
    ),
    Cast(
        name="Newsletter writer",
        template="content-writer",
        provider="anthropic",
        model="claude-haiku-4-5",
        requests=9,
        request_type="chat",
    ),
    Cast(
        name="Opening hours & allergens",
        template="faq-bot",
        provider="openai",
        model="gpt-4o-mini",
        requests=22,
        request_type="chat",
    ),
    # On a plan, where who answers is up to us: in the past this one, and here and now echo.
    Cast(
        name="Recipe writer",
        template="content-writer",
        provider="minimax",
        model="MiniMax-M2.5",
        requests=11,
        request_type="chat",
        tier="economy",
    ),
)


def seed(*, kept_in: Path, now: datetime) -> Credentials:
    """Return working credentials of the demo workspace, making whatever of it isn't there yet."""
    kept = _kept(kept_in)
    user = User.objects.filter(email=EMAIL).first()
    if kept and user and user.check_password(kept.password) and _works(kept):
        return kept
    password = secrets.token_urlsafe(9)
    user = user or User.objects.create_user(EMAIL, first_name="Demo")
    user.set_password(password)
    user.save()
    workspace = user.workspaces.first() or services.create_workspace(name=WORKSPACE, owner=user)
    echo = _echo_agent(workspace, user)
    _let_echo_answer_for_plans()
    for cast in PAST:
        _agent_with_a_past(cast, workspace=workspace, user=user, now=now)
    _made, agent_token = services.create_agent_token(agent=echo, by=user, name="Demo")
    _also, workspace_token = services.create_workspace_token(workspace=workspace, by=user, name="Demo")
    made = Credentials(
        email=EMAIL, password=password, agent_token=agent_token.reveal(), workspace_token=workspace_token.reveal()
    )
    _keep(made, kept_in)
    return made


def _works(kept: Credentials) -> bool:
    return AgentToken.objects.filter(
        digest=digest(kept.agent_token), revoked_at=None, agent__deleted_at=None, agent__paused_at=None
    ).exists()


def _echo_agent(workspace: Workspace, user: User) -> Agent:
    """Return the agent that answers without a key or a network. It has no past, so one's first request shows."""
    found = workspace.agents.living().filter(provider=ECHO, paused_at=None).first()
    if found:
        return found
    agent = services.create_agent(
        workspace=workspace, name="Try me", provider=ECHO, model=ECHO_PROVIDER.models[0], by=user
    )
    key = services.save_key(workspace=workspace, provider=ECHO, secret="echo-needs-no-key", by=user)  # noqa: S106
    services.use_key(agent=agent, key=key, by=user)
    return agent


def _let_echo_answer_for_plans() -> None:
    """Let echo answer for the plans' agents too, where none of our own keys does, since nobody's demo has any."""
    if PoolKey.objects.exists():
        return
    key = PoolKey(provider=ECHO, name="Demo")
    key.seal("echo-needs-no-key")
    key.save()
    for tier in TIERS:
        Route.objects.get_or_create(tier=tier, position=LAST, provider=ECHO, model=ECHO_PROVIDER.models[0])


def _agent_with_a_past(cast: Cast, *, workspace: Workspace, user: User, now: datetime) -> None:
    if workspace.agents.filter(name=cast.name).exists():
        return
    own = cast.tier == Mode.BYOKEY
    runs_on = {"provider": cast.provider, "model": cast.model} if own else {}
    agent = services.create_agent(workspace=workspace, name=cast.name, template=cast.template, by=user, **runs_on)
    if not own:
        subscriptions.choose_plan(agent=agent, tier=cast.tier, by=user, at=now - timedelta(days=DAYS))
    get_store().append([msgspec.json.encode(record) for record in history(agent, cast, until=now)])


# --- three months, invented -----------------------------------------------------------------------


def history(agent: Agent, cast: Cast, *, until: datetime) -> Iterator[Record]:
    """Yield the records of an agent's last months, the same for the same agent's name and day."""
    dice = random.Random(cast.name)  # noqa: S311
    today = until.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for days_ago in range(DAYS, -1, -1):
        day = today - timedelta(days=days_ago)
        for number in range(round(cast.requests * WEEK[day.weekday()] * dice.uniform(0.7, 1.3))):
            moment = day + timedelta(seconds=dice.randrange(OPENING_HOURS[0] * 3600, OPENING_HOURS[1] * 3600))
            record = _record(agent, cast, dice, moment=moment, name=f"{agent.pk} {day:%F} {number}")
            if moment < until - timedelta(minutes=5):
                yield record


def _record(agent: Agent, cast: Cast, dice: random.Random, *, moment: datetime, name: str) -> Record:
    status, http_status = _outcome(dice)
    usage = _usage(cast, dice) if status != "provider_error" else Usage()
    rate = pricing.rate(cast.provider, cast.model, at=moment)
    cost_input = picodollars(rate.cost_input(usage)) if rate else 0
    cost_output = picodollars(rate.cost_output(usage)) if rate else 0
    own = cast.tier == Mode.BYOKEY
    ttft_ms = dice.randrange(180, 900)
    latency_ms = ttft_ms + usage.tokens_output * dice.randrange(4, 12)
    return Record(
        id=str(_id(name)),
        agent_id=str(agent.pk),
        workspace_id=str(agent.workspace_id),
        timestamp=utc_text(moment),
        provider=cast.provider,
        model=cast.model,
        tier=cast.tier,
        tokens_input=usage.tokens_input,
        tokens_output=usage.tokens_output,
        cost_input=cost_input,
        cost_output=cost_output,
        cost_total=cost_input + cost_output,
        price_total=0 if own else picodollars(LIST_PER_MILLION * (usage.tokens_input + usage.tokens_output) / MILLION),
        request_type=cast.request_type,
        latency_ms=latency_ms,
        status=status,
        http_status=http_status,
        mode=Mode.BYOKEY if own else Mode.MANAGED,
        streamed=cast.request_type == "chat",
        ttft_ms=ttft_ms,
        attempts=(Attempt(provider=cast.provider, model=cast.model, status=http_status, latency_ms=latency_ms),),
        cache_read=usage.cache_read,
        cache_write=0,
        reasoning=0,
        price_version=rate.version if rate else "",
        experiment_arm="",
        provenance="partial" if status == "client_closed" else "reported",
    )


def _outcome(dice: random.Random) -> tuple[Status, int]:
    """Return how a request ended: one in a hundred is refused, one in a hundred left by its caller."""
    outcomes: tuple[tuple[Status, int], ...] = (("ok", 200), ("provider_error", 429), ("client_closed", 200))
    return dice.choices(outcomes, weights=(98, 1, 1))[0]


def _usage(cast: Cast, dice: random.Random) -> Usage:
    """Return one request's tokens, so that a month comes to about the template's estimate."""
    month = templates()[cast.template]
    requests = cast.requests * MONTH_DAYS * sum(WEEK) / len(WEEK)
    size = math.exp(dice.gauss(-0.08, 0.4))
    tokens_input = round(month.tokens_input / requests * size)
    cached = round(tokens_input * dice.choice((0, 0, 0.4, 0.6)))
    return Usage(
        input=tokens_input - cached,
        cache_read=cached,
        output=round(month.tokens_output / requests * size * dice.uniform(0.8, 1.2)),
    )


def _id(name: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"vutler demo {name}")


# --- the file ---------------------------------------------------------------------------------------


def _kept(path: Path) -> Credentials | None:
    try:
        return Credentials(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _keep(made: Credentials, path: Path) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(made), file, indent=2)
