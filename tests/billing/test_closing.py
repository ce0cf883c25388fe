"""A month closes: drafts, the wait for late records, numbers without gaps, and what comes later."""

import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from agents import services as people
from agents import subscriptions
from billing import closing, numbers, services
from billing.evidence import gather
from billing.models import Frozen, HostingChoice, HostingPlan, Invoice, NumberCounter, Status
from metering.periods import Month
from tests.billing.customers import (
    APRIL_CLOSED,
    CLOSED,
    FEBRUARY,
    IN_TIME,
    MARCH,
    came_early,
    lines,
    on_plan,
    use,
)

# Which records are in the meter for good is only known of transactions that are over.
DECEMBER = Month(2026, 12)

pytestmark = pytest.mark.django_db(transaction=True)


def close(month=FEBRUARY, at=CLOSED) -> list[Invoice]:
    return [invoice for step in closing.close_month(month, at=at) for invoice in step.issued]


def test_elenas_february(elena):
    came_early(elena)
    bot = on_plan(elena, "economy")
    use(bot, 1_500_000)
    use(bot, 1_000_000)
    use(bot, 9_000_000, mode="byokey", tier="byokey")
    [invoice] = close()
    assert lines(invoice) == [
        ("hosting", Decimal("180.00")),
        ("plan", Decimal("5.00")),
        ("overage", Decimal("1.00")),
    ]
    assert (invoice.number, invoice.status, str(invoice.total)) == ("INV-2026-000001", "finalized", "186.00")
    assert (invoice.period_start, invoice.period_end) == (FEBRUARY.start, FEBRUARY.end)
    fee, overage = invoice.lines.all()[1:]
    assert overage.description == "FAQ Bot: 500,000 tokens beyond the plan"
    assert fee.description == "FAQ Bot: Starter, February 2026"
    assert (overage.quantity, overage.tokens, overage.records, str(overage.unit_price)) == (500_000, 2_500_000, 2, "2")
    assert overage.digest == gather([bot.pk], month=FEBRUARY)[bot.pk].digest


def test_running_it_twice_changes_nothing(elena, alex):
    came_early(elena)
    on_plan(alex, "standard")
    first = {str(each): each.pk for each in close()}
    assert sorted(first) == ["INV-2026-000001", "INV-2026-000002"]
    assert close() == []
    assert {str(each): each.pk for each in Invoice.objects.all()} == first


def test_a_month_that_is_not_over_stays_open(elena):
    on_plan(elena, "economy")
    with pytest.raises(services.NotYet):
        close(at=datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC))


def test_a_draft_waits_a_day_for_late_records(elena):
    bot = on_plan(elena, "economy")
    use(bot, 2_000_000)
    assert close(at=IN_TIME) == []
    draft = Invoice.objects.get()
    assert (draft.status, draft.number, draft.total) == ("draft", None, Decimal("185.00"))
    use(bot, 1_000_000)
    [issued] = [invoice for step in closing.issue_waiting(at=CLOSED) for invoice in step.issued]
    assert (issued.pk, issued.total) == (draft.pk, Decimal("187.00"))


def test_what_comes_later_goes_on_the_next_invoice_and_names_its_month(elena):
    bot = on_plan(elena, "economy")
    use(bot, 2_400_000)
    [february] = close()
    late = use(bot, 600_000)
    [march] = close(MARCH, APRIL_CLOSED)
    assert lines(march) == [("hosting", Decimal("180.00")), ("plan", Decimal("5.00")), ("late", Decimal("1.20"))]
    line = march.lines.get(kind="late")
    assert line.description == "FAQ Bot: 600,000 tokens of February 2026, counted after its invoice"
    assert (str(line.of_month), line.tokens, line.records) == ("2026-02", 3_000_000, 2)
    february.refresh_from_db()
    assert (february.total, late is not None) == (Decimal("185.80"), True)
    # And once only.
    [april] = close(MARCH.next(), datetime(2026, 5, 2, tzinfo=UTC))
    assert [kind for kind, _amount in lines(april)] == ["hosting", "plan"]


def test_a_record_that_is_shipped_twice_counts_once(elena):
    bot = on_plan(elena, "economy")
    again = use(bot, 2_500_000)
    use(bot, 2_500_000, id=again)
    assert lines(close()[0])[-1] == ("overage", Decimal("1.00"))


def test_an_agent_that_left_and_was_deleted_pays_for_its_last_month(elena):
    came_early(elena)
    bot = on_plan(elena, "premium", at=datetime(2026, 2, 15, tzinfo=UTC))
    subscriptions.leave_managed(agent=bot, by=elena.user, at=datetime(2026, 2, 20, tzinfo=UTC))
    people.delete_agent(agent=bot, by=elena.user)
    [invoice] = close()
    assert lines(invoice) == [("hosting", Decimal("180.00")), ("plan", Decimal("10.00"))]
    assert invoice.lines.get(kind="plan").description == "FAQ Bot: Ultra, February 2026, 14 of 28 days"
    assert [kind for kind, _amount in lines(close(MARCH, APRIL_CLOSED)[0])] == ["hosting"]


def test_whoever_hosts_by_themselves_on_their_own_keys_gets_no_invoice(alex):
    came_early(alex)
    HostingChoice.objects.create(workspace=alex.workspace, code="self-hosted", from_day=FEBRUARY.start.date())
    assert (close(), Invoice.objects.count()) == ([], 0)


def test_a_new_hosting_price_is_a_new_row(alex):
    came_early(alex)
    HostingPlan.objects.create(code="cloud", name="Cloud", fee=Decimal("200.00"), from_day=MARCH.start.date())
    assert close()[0].total == Decimal("180.00")
    assert close(MARCH, APRIL_CLOSED)[0].total == Decimal("200.00")


def test_whoever_came_later_gets_no_invoice_for_the_month_before(alex):
    assert close() == []


def test_an_invoice_that_was_taken_back_is_not_issued_again_by_itself(elena):
    on_plan(elena, "economy")
    [invoice] = close()
    services.void(invoice=invoice, at=CLOSED, by="Staff", reason="Wrong company")
    assert close() == []
    again = services.draft_month(workspace_id=elena.workspace.pk, month=FEBRUARY, at=CLOSED)
    assert again
    issued = services.finalize(invoice=again, at=CLOSED, by="Staff")
    assert (issued.number, issued.total) == ("INV-2026-000002", Decimal("185.00"))


def test_credits_are_used_up_one_invoice_after_the_other(elena):
    on_plan(elena, "economy")
    services.grant_credit(workspace=elena.workspace, amount=Decimal("200.00"), reason="Outage", by="Staff")
    [february] = close()
    assert (february.total, february.status) == (Decimal("0.00"), Status.PAID)
    [march] = close(MARCH, APRIL_CLOSED)
    assert lines(march)[-1] == ("credit", Decimal("-15.00"))


def test_numbers_begin_again_with_the_year_of_issue(elena, alex):
    came_early(elena)
    NumberCounter.objects.create(series="INV", year=2026, last=41)
    assert [each.number for each in close()] == ["INV-2026-000042"]
    assert [each.number for each in close(DECEMBER, datetime(2027, 1, 2, tzinfo=UTC))][:1] == ["INV-2027-000001"]


def test_two_at_once_issue_each_invoice_once(elena, alex, maya, stefan, monkeypatch):
    monkeypatch.setattr(closing, "AT_ONCE", 1)
    for person in (elena, alex, maya, stefan):
        came_early(person)
        on_plan(person, "economy")
    errors = []

    def run():
        try:
            close()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    both = [threading.Thread(target=run) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert errors == []
    given = sorted(map(str, Invoice.objects.all()))
    assert given == [f"INV-2026-{number:06}" for number in (1, 2, 3, 4)]


class Killed(BaseException):
    """The power goes."""


@pytest.mark.parametrize("where", ["take", "_tell", "_lines", "_issue", "rate"])
def test_killed_anywhere_and_run_again(elena, alex, maya, monkeypatch, where):
    monkeypatch.setattr(closing, "AT_ONCE", 1)
    for person in (elena, alex, maya):
        came_early(person)
        on_plan(person, "economy")
    place = numbers if where == "take" else services
    real, calls = getattr(place, where), []

    def once(*args, **kwargs):
        calls.append(where)
        if len(calls) == 2:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(place, where, once)
    with pytest.raises(Killed):
        close()
    close()
    issued = Invoice.objects.order_by("number")
    assert [each.number for each in issued] == [f"INV-2026-{number:06}" for number in (1, 2, 3)]
    assert all(each.total == Decimal("185.00") and each.lines.count() == 2 for each in issued)


def test_the_database_allows_one_invoice_a_month(elena):
    came_early(elena)
    [invoice] = close()
    invoice.pk, invoice.number, invoice._state.adding = None, "INV-2026-000009", True
    with pytest.raises(IntegrityError), transaction.atomic():
        Invoice.objects.bulk_create([invoice])


def test_an_issued_invoice_never_changes(elena):
    came_early(elena)
    [invoice] = close()
    invoice.total = Decimal("1.00")
    with pytest.raises(Frozen):
        invoice.save()
    with pytest.raises(Frozen):
        invoice.delete()
    line = invoice.lines.get()
    with pytest.raises(Frozen):
        line.save()
