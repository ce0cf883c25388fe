"""Months of generated workspaces, closed by the product as in life, agree with the second rater to the cent.

Plans are chosen through the services, records go through the store (some twice, some late), and three months are closed
one after the other. What is compared is what was written down.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents import subscriptions
from agents.models import Agent, Workspace
from billing import services
from billing.models import BillingProfile, HostingChoice, Invoice
from metering.periods import Month
from tests.billing import second_rater
from tests.billing.generated import examples, rates, requests, wishes
from tests.billing.second_rater import Request, Wish
from tests.metering.records import record, store

pytestmark = pytest.mark.django_db

MONTHS = [Month(2026, 2), Month(2026, 3), Month(2026, 4)]
JANUARY = datetime(2026, 1, 5, tzinfo=UTC)

companies = st.fixed_dictionaries(
    {
        "agents": st.lists(st.tuples(wishes, requests), min_size=1, max_size=3),
        "early": st.booleans(),  # whether it was there, and hosted, from the beginning
        "hosting": st.sampled_from(["cloud", "cloud", "self-hosted"]),
        "credits": st.lists(st.integers(1, 40_000), max_size=2),
        "rate": rates,
    }
)


class Company:
    """A generated workspace in the product's tables."""

    def __init__(self, facts) -> None:
        self.facts = facts
        self.workspace = Workspace.objects.create(name="Generated")
        self.rate = Decimal(facts["rate"])
        if facts["early"]:
            Workspace.objects.filter(pk=self.workspace.pk).update(created_at=JANUARY)
        HostingChoice.objects.create(workspace=self.workspace, code=facts["hosting"], from_day=MONTHS[0].start.date())
        BillingProfile.objects.create(workspace=self.workspace, tax_ppm=int(self.rate * 10_000))
        for cents in facts["credits"]:
            services.grant_credit(workspace=self.workspace, amount=Decimal(cents) / 100, reason="Sorry", by="Staff")
        self.agents = [self._agent(asked) for asked, _seen in facts["agents"]]
        self.ids = [{request.id: str(uuid4()) for request in seen} for _asked, seen in facts["agents"]]

    def _agent(self, asked: list[Wish]) -> Agent:
        agent = Agent.objects.create(workspace=self.workspace, name="Bot")
        for wish in sorted(asked, key=lambda each: each.when):
            if wish.tier:
                subscriptions.choose_plan(agent=agent, tier=wish.tier, by="Owner", at=wish.when)
            else:
                subscriptions.leave_managed(agent=agent, by="Owner", at=wish.when)
        return agent

    def ship(self, *, late: Month | None = None) -> None:
        """Store what came in time, or what came late of a month, with all that was there before once more."""
        made = []
        for agent, ids, (_asked, seen) in zip(self.agents, self.ids, self.facts["agents"], strict=True):
            due = [each for each in seen if not each.late or (late and Month.of(each.when) == late)]
            made += [self._record(agent, ids, each) for each in due]
        if made:
            store(*made)

    def _record(self, agent: Agent, ids, request: Request):
        mode, tier = ("managed", "economy") if request.managed else ("byokey", "byokey")
        half = request.tokens // 2
        return record(
            agent,
            id=ids[request.id],
            at=request.when,
            mode=mode,
            tier=tier,
            tokens_input=half,
            tokens_output=request.tokens - half,
            provider="openai",
        )

    def expected(self) -> list[tuple[list[int], int, int]]:
        """Return what the second rater has for each month: the charges, their sum after credits, the tax; in cents."""
        found, credit, late = [], sum(self.facts["credits"]), [0] * len(self.agents)
        for month in MONTHS:
            lines = [
                second_rater.agent_lines(asked, seen, month.year, month.number) for asked, seen in self.facts["agents"]
            ]
            hosted = self.facts["early"] or any(fee for fee, _over, _late in lines)
            hosting = 18_000 if hosted and self.facts["hosting"] == "cloud" else 0
            charges = [hosting, *late, *(part for fee, over, _late in lines for part in (fee, over))]
            base, tax, credit = second_rater.settled(charges, credit, Fraction(self.facts["rate"]) / 100)
            found.append((sorted(filter(None, charges)), base, tax))
            late = [came_late for _fee, _over, came_late in lines]
        return found

    def written(self) -> list[tuple[list[int], int, int]]:
        """Return the same of the product's invoices."""
        found = []
        for month in MONTHS:
            invoice = Invoice.objects.filter(workspace=self.workspace, period_start=month.start).first()
            lines = [int(line.amount * 100) for line in invoice.lines.all()] if invoice else []
            charges = sorted(amount for amount in lines if amount > 0)
            found.append((charges, sum(lines), int(invoice.tax * 100) if invoice else 0))
        return found


def close(companies: list[Company], month: Month) -> None:
    ids = [each.workspace.pk for each in companies]
    at = month.end + timedelta(hours=24)
    services.close(workspace_ids=ids, month=month, at=at)
    services.close(workspace_ids=ids, month=month, at=at)  # twice changes nothing


def taken_back(invoice: Invoice, *, at: datetime) -> Decimal:
    """Credit a part of an invoice, and then all of it; return what is left to its customer's name."""
    first = invoice.lines.all()[0]
    part = min(first.amount - Decimal("0.01"), invoice.subtotal)
    services.credit(invoice=invoice, reason="In part", at=at, by="Finance", amounts={first.pk: part})
    services.credit(invoice=invoice, reason="The rest", at=at, by="Finance")
    left: Decimal = invoice.total - sum(note.total for note in invoice.credit_notes.all())
    return left


@settings(
    examples(8, thorough=1_000),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(facts=st.lists(companies, min_size=1, max_size=3))
def test_three_months_of_any_workspaces_agree_to_the_cent(facts, db):
    generated = [Company(each) for each in facts]
    for company in generated:
        company.ship()
    for month in MONTHS:
        close(generated, month)
        for company in generated:
            company.ship(late=month)
    for company in generated:
        assert company.written() == company.expected()
    for invoice in Invoice.objects.filter(workspace__in=[each.workspace for each in generated], total__gt=0):
        assert invoice.total == sum(line.amount for line in invoice.lines.all()) + invoice.tax
        assert taken_back(invoice, at=MONTHS[-1].end + timedelta(days=3)) == 0
