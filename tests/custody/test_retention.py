"""Requests are kept as long as their workspace wants, and as long as a draft invoice is about them."""

import json
from datetime import UTC, datetime
from io import StringIO

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.core.management import call_command

from agents import keeping
from agents.models import Workspace
from billing import closing, services
from billing.models import Invoice
from custody import retention, tasks
from metering import rollups
from metering.models import MonthlyUsage, UsageRecord
from tests.agents.test_agent_pages import page
from tests.billing.customers import CLOSED, FEBRUARY, IN_TIME, came_early, on_plan, use
from tests.metering.records import record, store

pytestmark = pytest.mark.django_db

MAY_2027 = datetime(2027, 5, 9, 2, 23, tzinfo=UTC)


def left(agent) -> list[str]:
    found = UsageRecord.objects.filter(agent_id=agent.pk).order_by("timestamp")
    return [f"{each:%Y-%m}" for each in found.values_list("timestamp", flat=True)]


def used_monthly(agent) -> None:
    store(*(record(agent, at=datetime(2026 + n // 12, n % 12 + 1, 9, tzinfo=UTC)) for n in range(17)))


def test_thirteen_months_and_the_current_one_are_kept(bot):
    used_monthly(bot)
    with time_machine.travel(MAY_2027):
        tasks.make_room()
        tasks.forget_old()
    assert (left(bot)[0], len(left(bot))) == ("2026-04", 14)
    assert MonthlyUsage.objects.filter(agent_id=bot.pk).count() == 17


def test_each_workspace_keeps_as_long_as_it_wants(alex, bot, elena):
    helpdesk = on_plan(elena, "economy")
    used_monthly(bot)
    used_monthly(helpdesk)
    keeping.keep_requests(workspace=alex.workspace, months=1, by=alex.user, at=MAY_2027)
    keeping.keep_requests(workspace=elena.workspace, months=24, by=elena.user, at=MAY_2027)
    retention.forget_old(at=MAY_2027)
    assert left(bot) == ["2027-04", "2027-05"]
    assert len(left(helpdesk)) == 17


@pytest.mark.parametrize("months", [0, -1, 14, 24, 1_000])
def test_without_a_plan_at_most_thirteen_months(alex, months):
    with pytest.raises(ValidationError):
        keeping.keep_requests(workspace=alex.workspace, months=months, by=alex.user, at=MAY_2027)
    assert Workspace.objects.get(pk=alex.workspace.pk).keep_months == 13


def test_a_draft_keeps_the_requests_that_it_is_about(elena):
    came_early(elena)
    keeping.keep_requests(workspace=elena.workspace, months=1, by=elena.user, at=CLOSED)
    helpdesk = on_plan(elena, "economy")
    use(helpdesk, 2_500_000)
    services.draft_month(workspace_id=elena.workspace.pk, month=FEBRUARY, at=IN_TIME)
    retention.forget_old(at=MAY_2027)
    assert left(helpdesk) == ["2026-02"]
    [issued] = services.close(workspace_ids=[elena.workspace.pk], month=FEBRUARY, at=MAY_2027)
    retention.forget_old(at=MAY_2027)
    assert left(helpdesk) == []
    assert issued.lines.get(kind="overage").tokens == 2_500_000


@pytest.fixture
def gone(elena) -> Invoice:
    """February's invoice, whose requests aren't kept any more."""
    came_early(elena)
    helpdesk = on_plan(elena, "economy", name="Helpdesk")
    use(helpdesk, 2_500_000)
    [issued] = services.close(workspace_ids=[elena.workspace.pk], month=FEBRUARY, at=CLOSED)
    rollups.roll_up()
    retention.forget_old(at=MAY_2027)
    assert left(helpdesk) == []
    return issued


def reconciled(*arguments: str) -> str:
    out = StringIO()
    with time_machine.travel(MAY_2027):
        call_command("reconcile", "2026-02", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_reconcile_says_what_can_not_be_counted_any_more(gone):
    said = reconciled()
    assert "no longer kept (since 2026-04-01 at the latest)" in said
    assert said.endswith("2026-02: 1 invoices checked, 0 differences.\n")
    assert json.loads(reconciled("--json")) == {
        "month": "2026-02",
        "invoices": 1,
        "differences": [],
        "without_records": 1,
    }


def test_a_line_says_that_its_requests_are_gone(elena, gone):
    line = gone.lines.get(kind="overage")
    html = page(elena.client().get(f"/billing/invoices/{gone.pk}/lines/{line.pk}/"))
    assert "These requests are no longer kept" in html
    assert "April 1, 2026" in html
    assert line.digest in html


def test_an_agents_month_says_so_and_keeps_its_figures(elena, gone):
    agent_id = gone.lines.get(kind="overage").agent_id
    html = page(elena.client().get(f"/usage/{agent_id}/?month=2026-02"))
    assert "2.5M" in html
    assert "your workspace keeps them since April 1, 2026" in html
    assert "Download CSV" not in html


def test_a_month_that_can_not_be_counted_is_not_invoiced_again(elena, gone):
    services.void(invoice=gone, at=MAY_2027, by=elena.user, reason="wrong address")
    assert services.draft_month(workspace_id=elena.workspace.pk, month=FEBRUARY, at=MAY_2027) is None
    list(closing.close_month(FEBRUARY, at=MAY_2027))
    assert Invoice.objects.count() == 1


def test_what_comes_later_than_that_is_not_charged(elena, gone):
    helpdesk = elena.workspace.agents.get()
    use(helpdesk, 9_000_000)
    april = FEBRUARY.next().next()
    list(closing.close_month(april, at=MAY_2027))
    [issued] = Invoice.objects.filter(period_start=april.start)
    assert {line.kind for line in issued.lines.all()} == {"hosting", "plan"}
