"""A customer in the middle of a story: agents on plans, and what they used. Moments are in February 2026."""

from datetime import UTC, datetime
from decimal import Decimal

from agents import services as people
from agents import subscriptions
from agents.models import Agent, Workspace
from metering.periods import Month
from tests.conftest import Person
from tests.metering.records import record, store

FEBRUARY = Month(2026, 2)
MARCH = Month(2026, 3)
FIRST = datetime(2026, 2, 1, tzinfo=UTC)
IN_TIME = datetime(2026, 3, 1, 12, tzinfo=UTC)  # the month is over, records may still come
CLOSED = datetime(2026, 3, 2, tzinfo=UTC)
APRIL_CLOSED = datetime(2026, 4, 2, tzinfo=UTC)


def came_early(person: Person) -> Workspace:
    """Let the person's workspace have been there since January."""
    Workspace.objects.filter(pk=person.workspace.pk).update(created_at=datetime(2026, 1, 5, tzinfo=UTC))
    person.workspace.refresh_from_db()
    return person.workspace


def on_plan(person: Person, tier: str, *, name: str = "FAQ Bot", at: datetime = FIRST) -> Agent:
    """Return a new agent of the person's, on a plan since ``at``."""
    agent = people.create_agent(workspace=person.workspace, name=name, by=person.user)
    subscriptions.choose_plan(agent=agent, tier=tier, by=person.user, at=at)
    return agent


def use(agent: Agent, tokens: int, *, at: datetime = datetime(2026, 2, 16, 18, tzinfo=UTC), **fields) -> str:
    """Let the agent use so many tokens in one request, on its plan; return the record's id."""
    made = record(
        agent, at=at, **{"mode": "managed", "tier": "economy", **fields}, tokens_input=tokens, tokens_output=0
    )
    store(made)
    return made.id


def lines(invoice) -> list[tuple[str, Decimal]]:
    return [(line.kind, line.amount) for line in invoice.lines.all()]
