"""The close report: records, roll-ups, lines, invoices, payments and cash, and a name for whatever lies between."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection

from billing import services, settling
from billing.agreeing import close_report
from billing.documents import close_sheet
from billing.models import BillingProfile, Invoice
from billing.payments import SentCreditNote
from metering import rollups
from tests.billing.customers import CLOSED, FEBRUARY, came_early, on_plan, use
from tests.billing.paying import with_card

pytestmark = pytest.mark.django_db

LATER = datetime(2026, 3, 20, tzinfo=UTC)  # after 14 days to pay


def close(*people) -> list[Invoice]:
    return services.close(workspace_ids=[each.workspace.pk for each in people], month=FEBRUARY, at=CLOSED)


def report(at: datetime = CLOSED):
    return close_report(FEBRUARY, at=at)


def way(found) -> list[tuple[str, int, object]]:
    """Return the figures, each once."""
    figures = [each for step in found.steps for each in (step.before, step.after)]
    return list(dict.fromkeys((each.name, each.count, each.amount) for each in figures))


def between(found) -> list[tuple[str, int, object, bool]]:
    return [(each.name, each.count, each.amount, each.wrong) for step in found.steps for each in step.differences]


@pytest.fixture
def bot(elena):
    came_early(elena)
    BillingProfile.objects.create(workspace=elena.workspace, legal_name="Elena Fleurs", tax_ppm=200_000)
    agent = on_plan(elena, "economy")
    use(agent, 2_000_000)
    use(agent, 500_000)
    return agent


def test_all_is_well_from_the_first_request_to_the_last_cent(elena, bot):
    rollups.roll_up()
    [invoice] = close(elena)
    services.mark_paid(invoice=invoice, at=CLOSED, by="Finance")
    found = report()
    assert way(found) == [
        ("Records", 2, 2_500_000),
        ("Roll-ups", 2, 2_500_000),
        ("Lines", 2, 2_500_000),
        ("Lines", 3, Decimal("186.00")),
        ("Invoices", 1, Decimal("223.20")),
        ("Marked by hand", 1, Decimal("223.20")),
        ("Cash", 1, Decimal("223.20")),
    ]
    assert between(found) == [("Tax", 1, Decimal("37.20"), False)]
    assert found.agrees


def test_before_the_close_everything_waits_and_afterwards_somebody_is_told(elena, bot):
    rollups.roll_up()
    in_time = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert between(report(in_time)) == [("No invoice drawn up yet", 2, -2_500_000, False)]
    assert between(report(CLOSED)) == [("No invoice drawn up yet", 2, -2_500_000, True)]
    services.draft_month(workspace_id=elena.workspace.pk, month=FEBRUARY, at=in_time)
    found = report(in_time)
    assert between(found) == [("On drafts, not issued yet", 2, -2_500_000, False)]
    assert found.drafts == 1


def test_what_comes_late_is_named_and_so_is_what_waits_for_the_roll_up(elena, bot):
    rollups.roll_up()
    close(elena)
    use(bot, 7)
    assert between(report())[0] == ("Stored since the last roll-up", 1, -7, False)
    rollups.roll_up()
    assert between(report())[0] == ("Counted after the invoice: on the next one", 1, -7, False)
    assert report().agrees


def test_what_is_invoiced_before_the_roll_up(elena, bot):
    close(elena)
    found = report()
    assert between(found)[:2] == [
        ("Stored since the last roll-up", 2, -2_500_000, False),
        ("Invoiced before the last roll-up", 2, 2_500_000, False),
    ]
    assert found.agrees


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        ("UPDATE metering_dailyusage SET tokens_input = 1", "Roll-ups that aren't what their records say"),
        ("DELETE FROM metering_usagerecord", "Roll-ups that aren't what their records say"),
        ("UPDATE billing_invoiceline SET tokens = 2500001", "Fewer than were invoiced"),
        ("DELETE FROM billing_invoiceline WHERE agent_id IS NOT NULL", "On plans, but on no invoice"),
        (
            "UPDATE billing_invoiceline SET amount = 1 WHERE kind = 'overage'",
            "Invoices that aren't the sum of their lines",
        ),
    ],
)
def test_what_is_wrong_is_named(elena, bot, spoil, name):
    rollups.roll_up()
    close(elena)
    with connection.cursor() as cursor:
        cursor.execute(spoil)
    found = report()
    assert name in [each[0] for each in between(found) if each[3]]
    assert not found.agrees


def test_credits_open_overdue_and_given_up(elena, alex, maya, stefan, bot):
    rollups.roll_up()
    for person in (alex, maya, stefan):
        came_early(person)
    hers, his, of_maya, of_stefan = sorted(close(elena, alex, maya, stefan), key=lambda each: -each.total)
    services.credit(invoice=hers, reason="Outage", at=CLOSED, by="Finance", amounts=first_line(hers, "10.00"))
    services.mark_paid(invoice=hers, at=CLOSED, by="Finance")
    services.credit(invoice=hers, reason="Goodwill", at=LATER, by="Finance", amounts=first_line(hers, "5.00"))
    services.mark_uncollectible(invoice=his, at=CLOSED, by="Finance", reason="Bankrupt")
    services.void(invoice=of_maya, at=CLOSED, by="Finance", reason="Wrong company")
    found = report()
    assert between(found)[1:] == [
        ("Credited", 1, Decimal("-18.00"), False),
        ("Open", 1, Decimal("-180.00"), False),
        ("Given up", 1, Decimal("-180.00"), False),
    ]
    assert ("Overdue", 1, Decimal("-180.00"), False) in between(report(LATER))
    # $223.20, less $12.00 credited before it was paid and $6.00 given back afterwards.
    assert found.steps[-1].after.amount == Decimal("205.20")
    assert found.agrees
    assert of_stefan.status == "finalized"


def first_line(invoice: Invoice, amount: str):
    return {invoice.lines.all()[0].pk: Decimal(amount)}


def test_the_whole_credited_is_no_cash(elena, bot):
    rollups.roll_up()
    [invoice] = close(elena)
    services.credit(invoice=invoice, reason="All of it", at=CLOSED, by="Finance")
    found = report()
    assert found.steps[-1].after.amount == 0
    assert ("Credited", 1, Decimal("-223.20"), False) in between(found)
    assert found.agrees


def test_the_workbook_has_the_way_and_everything_between(elena, bot):
    rollups.roll_up()
    close(elena)
    way, items = close_sheet.sheets(report(), address=lambda place: f"https://vutler.example/{place.page}")
    assert ["Records", "Roll-ups", "Records", 2, 2_500_000, "", ""] in list(way.rows)
    said = ["Marked by hand", "Cash", "Open", "INV-2026-000001 Elena Fleurs", 1, "", Decimal("-223.20"), ""]
    assert [*said, "https://vutler.example/billing_invoice"] in list(items.rows)


# --- With Stripe --------------------------------------------------------------------------------


@pytest.fixture
def charged(elena, bot, fake, gateway, stripe_keys) -> Invoice:
    """Elena's February, charged to her card when it was issued."""
    rollups.roll_up()
    with_card(elena, fake, gateway)
    [invoice] = close(elena)
    settling.settle(invoice_id=invoice.pk, at=CLOSED, gateway=gateway)
    invoice.refresh_from_db()
    return invoice


def test_an_invoice_that_is_not_at_stripe_yet(elena, bot, settings):
    rollups.roll_up()
    close(elena)
    settings.STRIPE_SECRET_KEY = "sk_test_0123456789"
    assert ("Not there yet", 1, Decimal("-223.20"), False) in between(report())


def test_what_was_charged_and_then_given_back(charged, gateway):
    assert way(report())[-2:] == [("Stripe", 1, Decimal("223.20")), ("Cash", 1, Decimal("223.20"))]
    note = services.credit(
        invoice=charged, reason="Outage", at=LATER, by="Finance", amounts=first_line(charged, "5.00")
    )
    settling.settle(invoice_id=charged.pk, at=LATER, gateway=gateway)
    refunded = report()
    assert between(refunded)[1:] == [("Credited", 1, Decimal("-6.00"), False)]
    assert way(refunded)[-1] == ("Cash", 1, Decimal("217.20"))
    assert refunded.agrees
    SentCreditNote.objects.filter(note=note).delete()
    assert between(report())[1:] == [
        ("Credited", 1, Decimal("-6.00"), False),
        ("Credited after it was paid, to be given back", 1, Decimal("6.00"), False),
    ]


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        ("UPDATE billing_sentinvoice SET total = 22319", "Another total there"),
        ("UPDATE billing_sentinvoice SET paid = 100", "Paid otherwise than owed"),
        ("UPDATE billing_invoice SET status = 'void'", "Taken back here, but not there"),
    ],
)
def test_stripe_says_something_else(charged, spoil, name):
    with connection.cursor() as cursor:
        cursor.execute(spoil)
    assert name in [each[0] for each in between(report()) if each[3]]


@pytest.mark.usefixtures("stripe_keys")
def test_paid_by_hand_though_it_is_at_stripe(elena, bot, gateway):
    rollups.roll_up()
    [invoice] = close(elena)
    settling.settle(invoice_id=invoice.pk, at=CLOSED, gateway=gateway)
    assert ("Open", 1, Decimal("-223.20"), False) in between(report())
    services.mark_paid(invoice=invoice, at=CLOSED, by="Finance")
    settling.settle(invoice_id=invoice.pk, at=CLOSED, gateway=gateway)
    assert way(report())[-1] == ("Cash", 1, Decimal("223.20"))
