"""What becomes of an issued invoice: paid, taken back, credited."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from agents.models import AuditEntry
from billing import services
from billing.models import BillingProfile, Invoice, Status
from tests.billing.customers import CLOSED, FEBRUARY, came_early, on_plan, use

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def invoice(elena):
    """Elena's February: $186.00 and 20% tax."""
    came_early(elena)
    BillingProfile.objects.create(workspace=elena.workspace, legal_name="Elena SARL", tax_ppm=200_000)
    use(on_plan(elena, "economy"), 2_500_000)
    [issued] = services.close(workspace_ids=[elena.workspace.pk], month=FEBRUARY, at=CLOSED)
    return issued


def test_what_the_invoice_says_stays_when_the_customer_moves(invoice, elena):
    BillingProfile.objects.filter(workspace=elena.workspace).update(legal_name="Elena GmbH", tax_ppm=190_000)
    invoice.refresh_from_db()
    assert (invoice.snapshot["buyer"]["name"], invoice.tax_rate) == ("Elena SARL", 20)
    assert (invoice.subtotal, invoice.tax, invoice.total) == (Decimal("186.00"), Decimal("37.20"), Decimal("223.20"))


def test_reverse_charge_has_no_tax(alex):
    BillingProfile.objects.create(
        workspace=alex.workspace, vat_number="DE136695976", tax_ppm=200_000, reverse_charge=True
    )
    on_plan(alex, "economy")
    [issued] = services.close(workspace_ids=[alex.workspace.pk], month=FEBRUARY, at=CLOSED)
    assert (issued.tax, issued.total, issued.snapshot["reverse_charge"]) == (Decimal(0), Decimal("185.00"), True)


def test_paid_is_news_once(invoice):
    assert services.mark_paid(invoice=invoice, at=CLOSED, by="Finance") is True
    assert services.mark_paid(invoice=invoice, at=CLOSED, by="Finance") is False
    assert (invoice.status, invoice.paid_at) == (Status.PAID, CLOSED)
    assert AuditEntry.objects.filter(action="invoice.paid").count() == 1


def test_a_paid_invoice_is_not_taken_back(invoice):
    services.mark_paid(invoice=invoice, at=CLOSED, by="Finance")
    with pytest.raises(services.NotNow):
        services.void(invoice=invoice, at=CLOSED, by="Finance", reason="Mistake")
    with pytest.raises(services.NotNow):
        services.mark_uncollectible(invoice=invoice, at=CLOSED, by="Finance", reason="Gone")


def test_somebody_pays_after_all(invoice):
    services.mark_uncollectible(invoice=invoice, at=CLOSED, by="Finance", reason="Gone")
    assert services.mark_paid(invoice=invoice, at=CLOSED, by="Finance")


def test_an_invoice_less_its_full_credit_note_is_nothing(invoice):
    note = services.credit(invoice=invoice, reason="Goodwill", at=CLOSED, by="Finance")
    assert (note.number, note.subtotal, note.tax) == ("CN-2026-000001", Decimal("186.00"), Decimal("37.20"))
    invoice.refresh_from_db()
    assert (invoice.total - invoice.credited, invoice.status) == (0, Status.PAID)
    with pytest.raises(services.NotNow):
        services.credit(invoice=invoice, reason="Again", at=CLOSED, by="Finance")


def test_a_part_of_a_line_and_then_the_rest(invoice):
    overage = invoice.lines.get(kind="overage")
    part = services.credit(
        invoice=invoice, reason="Outage", at=CLOSED, by="Finance", amounts={overage.pk: Decimal("0.33")}
    )
    assert (part.subtotal, part.tax) == (Decimal("0.33"), Decimal("0.07"))
    with pytest.raises(ValidationError):
        services.credit(
            invoice=invoice, reason="Too much", at=CLOSED, by="Finance", amounts={overage.pk: Decimal("0.68")}
        )
    services.credit(invoice=invoice, reason="The rest", at=CLOSED, by="Finance")
    invoice.refresh_from_db()
    assert (invoice.credited, invoice.due) == (invoice.total, 0)
    with pytest.raises(services.NotNow):
        services.void(invoice=invoice, at=CLOSED, by="Finance", reason="Mistake")


def test_no_more_is_given_back_than_was_charged(alex):
    """Hosting is $180, of which a credit of $30 paid a part: the rest is all that a credit note may be over."""
    came_early(alex)
    services.grant_credit(workspace=alex.workspace, amount=Decimal("30.00"), reason="Outage", by="Staff")
    [invoice] = services.close(workspace_ids=[alex.workspace.pk], month=FEBRUARY, at=CLOSED)
    hosting = invoice.lines.get(kind="hosting")
    with pytest.raises(ValidationError, match=r"Of this invoice only \$150.00 is left."):
        services.credit(invoice=invoice, reason="x", at=CLOSED, by="x", amounts={hosting.pk: Decimal("150.01")})
    note = services.credit(invoice=invoice, reason="x", at=CLOSED, by="x", amounts={hosting.pk: Decimal("150.00")})
    assert (note.total, Invoice.objects.get().due) == (Decimal("150.00"), Decimal("0.00"))


def test_a_credit_that_an_invoice_used_comes_back_with_its_credit_note(alex):
    came_early(alex)
    services.grant_credit(workspace=alex.workspace, amount=Decimal("80.00"), reason="Welcome", by="Staff")
    [issued] = services.close(workspace_ids=[alex.workspace.pk], month=FEBRUARY, at=CLOSED)
    assert issued.total == Decimal("100.00")
    services.credit(invoice=issued, reason="Double", at=CLOSED, by="Finance")
    march = services.draft_month(workspace_id=alex.workspace.pk, month=FEBRUARY.next(), at=CLOSED.replace(month=4))
    assert march
    assert march.total == Decimal("100.00")
