"""A workspace ends: at once for its people and programs, and for good when its last invoice is out."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.apps import apps
from django.core.exceptions import ValidationError

from agents import services as people
from agents.models import AgentToken, AuditEntry, Invitation, Member, ProviderKey, Role, Workspace, WorkspaceToken
from billing import closing
from billing import mail as invoice_mail
from billing.models import HostingChoice, Invoice
from custody import leaving, tasks
from metering import rollups
from metering.models import MonthlyUsage, Notice, UsageRecord
from metering.periods import Month
from metering.store import get_store
from tests.billing.customers import came_early, lines, on_plan, use
from tests.metering.records import record, store

pytestmark = pytest.mark.django_db

CLOSED_AT = datetime(2026, 2, 20, 9, tzinfo=UTC)
OUT = datetime(2026, 3, 2, 1, tzinfo=UTC)  # the last invoice is
FEBRUARY = Month(2026, 2)


@pytest.fixture
def closed(elena):
    """Elena's workspace, closed on February 20, with all that there may be in one."""
    workspace = came_early(elena)
    helpdesk = on_plan(elena, "economy", name="Helpdesk")
    own = people.create_agent(workspace=workspace, name="Own key", by=elena.user)
    key = people.save_key(workspace=workspace, provider="openai", secret="sk-elena-0123456789", by=elena.user)
    people.use_key(agent=own, key=key, by=elena.user)
    people.create_agent_token(agent=helpdesk, by=elena.user)
    people.create_workspace_token(workspace=workspace, by=elena.user)
    people.invite(workspace=workspace, email="new@elena.example", role=Role.MEMBER, by=elena.user)
    use(helpdesk, 2_500_000)
    store(record(own))
    Notice.objects.create(
        agent_id=helpdesk.pk,
        workspace_id=workspace.pk,
        month=date(2026, 2, 1),
        kind="100",
        limit=2_000_000,
        reached_at=CLOSED_AT,
    )
    rollups.roll_up()
    with time_machine.travel(CLOSED_AT, tick=False):
        leaving.close(workspace=workspace, by=elena.user, at=CLOSED_AT)
    workspace.refresh_from_db()
    return workspace


def test_programs_and_people_are_out_at_once(closed):
    assert closed.closed_at == CLOSED_AT
    assert not closed.agents.living().exists()
    for model in (AgentToken, WorkspaceToken, ProviderKey, Invitation, Member, Notice):
        assert model.objects.count() == 0


def test_the_last_month_is_invoiced_and_no_other(closed, elena, mailoutbox):
    for month in (FEBRUARY, Month(2026, 3), Month(2026, 4)):
        list(closing.close_month(month, at=month.end + timedelta(days=1)))
    [issued] = Invoice.objects.all()
    assert [str(amount) for _kind, amount in lines(issued)] == ["180.00", "5.00", "1.00"]
    invoice_mail.send_waiting(at=OUT)
    assert mailoutbox[0].to == ["elena@elena.example"]


def test_nothing_is_erased_before_the_last_invoice_is_out(closed):
    for at in (CLOSED_AT, FEBRUARY.end, OUT):
        with time_machine.travel(at):
            assert tasks.erase_closed() == 0
    assert UsageRecord.objects.count() == 2


def test_then_nothing_is_left_but_what_invoices_need(closed):
    list(closing.close_month(FEBRUARY, at=OUT))
    with time_machine.travel(OUT):
        assert tasks.erase_closed() == 1
        assert tasks.erase_closed() == 0
    assert UsageRecord.objects.count() == 0
    assert AuditEntry.objects.count() == 0
    closed.refresh_from_db()
    assert closed.erased_at is not None
    assert closed.name == f"deleted {str(closed.pk)[:8]}"
    assert not closed.agents.exclude(name__startswith="deleted ").exists()
    [issued] = Invoice.objects.all()
    assert issued.snapshot["buyer"]["name"] == "Elena & Co"
    assert {line.name for line in issued.lines.all()} == {"Cloud", "Helpdesk"}
    assert MonthlyUsage.objects.count() == 2


def test_the_end_of_one_takes_no_record_of_others(closed, bot):
    get_store().make_room(at=FEBRUARY.start)
    store(record(bot))
    list(closing.close_month(FEBRUARY, at=OUT))
    assert leaving.erase_closed(at=OUT) == 1
    assert UsageRecord.objects.get().agent_id == bot.pk


def test_whatever_belongs_to_a_workspace_goes_unless_it_is_named(closed):
    list(closing.close_month(FEBRUARY, at=OUT))
    leaving.erase_closed(at=OUT)
    for model in apps.get_models():
        columns = {field.attname for field in model._meta.concrete_fields}
        if model._meta.label not in leaving.KEPT and columns & {"workspace_id", "agent_id"}:
            assert model._base_manager.count() == 0, model


def test_what_comes_after_the_end_goes_with_the_next_night(closed):
    list(closing.close_month(FEBRUARY, at=OUT))
    leaving.erase_closed(at=OUT)
    store(record(closed.agents.first()))
    with time_machine.travel(OUT + timedelta(days=1)):
        tasks.forget_old()
    assert UsageRecord.objects.count() == 0


def test_who_never_paid_is_erased_without_an_invoice(alex, bot):
    HostingChoice.objects.create(workspace=alex.workspace, code="self-hosted", from_day=date(2026, 1, 1))
    store(record(bot))
    leaving.close(workspace=alex.workspace, by=alex.user, at=CLOSED_AT)
    assert leaving.erase_closed(at=OUT) == 1
    assert (UsageRecord.objects.count(), Invoice.objects.count()) == (0, 0)


def test_however_many_end_in_a_night_their_records_are_counted_once_and_then_go(closed, alex, bot, monkeypatch):
    HostingChoice.objects.create(workspace=alex.workspace, code="self-hosted", from_day=date(2026, 1, 1))
    leaving.close(workspace=alex.workspace, by=alex.user, at=CLOSED_AT)
    list(closing.close_month(FEBRUARY, at=OUT))
    store(record(bot, cost_input="0.40", cost_output="0.02"))
    counted, count = [], rollups.roll_up

    def roll_up() -> int:
        counted.append(UsageRecord.objects.count())
        return count()

    monkeypatch.setattr(rollups, "roll_up", roll_up)
    assert leaving.erase_closed(at=OUT) == 2
    assert counted == [3]
    assert UsageRecord.objects.count() == 0
    assert MonthlyUsage.objects.get(agent_id=bot.pk).cost_total == Decimal("0.42")


def test_only_an_owner_ends_it(elena, maya):
    Member.objects.create(workspace=elena.workspace, user=maya.user, role=Role.ADMIN)
    with pytest.raises(ValidationError):
        leaving.close(workspace=elena.workspace, by=maya.user, at=CLOSED_AT)
    assert Workspace.objects.get(pk=elena.workspace.pk).closed_at is None


def test_twice_is_once(elena):
    workspace = elena.workspace
    stale = Workspace.objects.get(pk=workspace.pk)
    leaving.close(workspace=workspace, by=elena.user, at=CLOSED_AT)
    with pytest.raises(ValidationError):
        leaving.close(workspace=stale, by=elena.user, at=OUT)
    assert Workspace.objects.get(pk=workspace.pk).closed_at == CLOSED_AT
