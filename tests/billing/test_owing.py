"""Who doesn't pay is told, in steps; then the plans pause, and go on once it's paid."""

from datetime import UTC, datetime, timedelta
from smtplib import SMTPException

import pytest
import time_machine

from agents.models import AuditEntry
from billing import mail, owing, services, settling
from billing.grace import Owing, Step
from billing.models import Invoice
from billing.payments import PaymentAccount
from tests.billing.customers import CLOSED
from tests.billing.paying import issued, with_card
from tests.billing.stripe_fake import DECLINED

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


# --- Arithmetic ---------------------------------------------------------------------------------


def test_fourteen_days_with_notice_seven_days_and_one_day_before():
    since, step_at, took = datetime(2026, 3, 2, tzinfo=UTC), None, []
    for step in (Step.NONE, Step.OWES, Step.A_WEEK_LEFT, Step.A_DAY_LEFT):
        now = Owing(since=since, step=step, step_at=step_at)
        assert now.pauses_at() == datetime(2026, 3, 16, tzinfo=UTC)
        step_at = now.next_at()
        assert step_at
        took.append(step_at.day)
    assert took == [2, 9, 15, 16]
    assert Owing(since=since, step=Step.PAUSED, step_at=step_at).next_at() is None


def test_a_reminder_that_comes_late_moves_the_pause():
    since, told_at = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC)
    late = Owing(since=since, step=Step.A_DAY_LEFT, step_at=told_at)
    assert late.next_at() == late.pauses_at() == datetime(2026, 3, 31, tzinfo=UTC)


# --- A workspace --------------------------------------------------------------------------------


@pytest.fixture
def unpaid(elena, fake, gateway) -> Invoice:
    """Elena's February, which her card didn't pay."""
    invoice = issued(elena)
    with_card(elena, fake, gateway, DECLINED)
    settling.settle(invoice_id=invoice.pk, at=CLOSED, gateway=gateway)
    return invoice


def review(person, *, days: float) -> Step:
    return owing.review(workspace_id=person.workspace.pk, at=CLOSED + days * DAY, tell=mail.remind)


def paused(person) -> bool:
    person.workspace.refresh_from_db()
    return person.workspace.managed_paused_at is not None


def test_elena_is_told_three_times_before_her_agents_pause(unpaid, elena, mailoutbox):
    steps = [review(elena, days=day) for day in (0, 0.5, 6.9, 7, 12.9, 13, 13.9)]
    assert steps == [1, 1, 1, 2, 2, 3, 3]
    assert not paused(elena)
    assert review(elena, days=14) == Step.PAUSED
    assert paused(elena)
    assert review(elena, days=30) == Step.PAUSED
    assert [message.subject for message in mailoutbox] == [
        *["Invoice INV-2026-000001 over $185.00 isn’t paid yet"] * 3,
        "Your agents on a plan are paused: $185.00 isn’t paid",
    ]
    assert {*map(str, (message.to for message in mailoutbox))} == {"['elena@elena.example']"}
    assert all("March 16, 2026" in message.body for message in mailoutbox[:3])
    assert f"/billing/invoices/{unpaid.pk}/" in mailoutbox[0].body


def test_paid_in_between_it_is_forgotten(unpaid, elena, fake, gateway):
    review(elena, days=0)
    review(elena, days=7)
    fake.ledger.rows[PaymentAccount.objects.get().method_id]["number"] = "4242424242424242"
    settling.pay(invoice_id=unpaid.pk, at=CLOSED + 8 * DAY, gateway=gateway)
    assert review(elena, days=8) == Step.NONE
    assert owing.owing(PaymentAccount.objects.get()) is None


def test_her_agents_go_on_as_soon_as_she_has_paid(unpaid, elena):
    for day in (0, 7, 13, 14):
        review(elena, days=day)
    assert paused(elena)
    services.mark_paid(invoice=unpaid, at=CLOSED + 15 * DAY, by="Finance")
    assert review(elena, days=15) == Step.NONE
    assert not paused(elena)
    entries = AuditEntry.objects.filter(action__startswith="managed.").order_by("pk")
    assert [each.action for each in entries] == ["managed.paused", "managed.resumed"]


def test_an_invoice_that_was_sent_is_owed_once_it_is_overdue(alex, fake, gateway, mailoutbox):
    invoice = issued(alex)
    settling.settle(invoice_id=invoice.pk, at=CLOSED, gateway=gateway)
    assert review(alex, days=13.9) == Step.NONE
    assert review(alex, days=14) == Step.OWES
    assert "is overdue" in mailoutbox[0].body
    assert PaymentAccount.objects.get().owing_since == invoice.due_at


def test_a_reminder_that_cannot_be_sent_waits_and_so_does_the_pause(unpaid, elena):
    def broken(*_arguments):
        raise SMTPException

    for day in (0, 7, 13, 14):
        assert owing.review(workspace_id=elena.workspace.pk, at=CLOSED + day * DAY, tell=broken) == Step.NONE
    assert not paused(elena)
    assert review(elena, days=14) == Step.OWES


def test_somebody_else_s_invoice_does_not_pause_alex(unpaid, alex):
    assert review(alex, days=14) == Step.NONE
    assert not paused(alex)


# --- What is seen of it -------------------------------------------------------------------------


@pytest.mark.usefixtures("stripe_keys")
def test_each_page_says_so(unpaid, elena):
    review(elena, days=0)
    with time_machine.travel(CLOSED + DAY):
        shown = elena.client().get("/agents/").content.decode()
    assert "Agents on a plan go on until March 16, 2026; please pay it by then." in shown
    for day in (7, 13, 14):
        review(elena, days=day)
    with time_machine.travel(CLOSED + 14 * DAY):
        shown = elena.client().get("/agents/").content.decode()
    assert "Agents on a plan are paused, because an invoice isn’t paid." in shown
