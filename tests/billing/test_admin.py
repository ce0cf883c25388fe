"""The staff's pages of billing: invoices that nobody edits, corrections with a reason, prices that gain rows."""

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from agents.models import AuditEntry
from billing import services
from billing.models import BillingProfile, Credit, CreditNote, HostingPlan, Invoice
from tests.billing.customers import CLOSED, FEBRUARY, came_early, on_plan, use

pytestmark = pytest.mark.django_db(transaction=True)

INVOICES = reverse("admin:billing_invoice_changelist")
REVENUE = reverse("admin:billing_revenue")


@pytest.fixture
def invoice(elena) -> Invoice:
    came_early(elena)
    use(on_plan(elena, "economy"), 2_500_000)
    [issued] = services.close(workspace_ids=[elena.workspace.pk], month=FEBRUARY, at=CLOSED)
    return issued


def said(answer) -> list[str]:
    return [str(each) for each in answer.context["messages"]]


def run(client: Client, action: str, *invoices: Invoice) -> list[str]:
    chosen = {"action": action, "_selected_action": [str(each.pk) for each in invoices]}
    return said(client.post(INVOICES, chosen, follow=True))


def test_the_list_and_an_invoice(staff, invoice):
    shown = staff.get(INVOICES, {"month": "2026-02", "status": "finalized"}).content.decode()
    assert "INV-2026-000001" in shown
    page = staff.get(reverse("admin:billing_invoice_change", args=[invoice.pk])).content.decode()
    assert "FAQ Bot: 500,000 tokens beyond the plan" in page
    assert 'name="_save"' not in page


def test_nobody_edits_or_adds_an_invoice(staff, invoice):
    assert staff.get(reverse("admin:billing_invoice_add")).status_code == 403
    change = reverse("admin:billing_invoice_change", args=[invoice.pk])
    assert staff.post(change, {"total": "1.00"}).status_code == 403


def test_sums_of_the_selection(staff, invoice):
    assert run(staff, "sum_up", invoice) == ["1 invoice: $186.00 and $0.00 tax, $186.00 together."]


def test_paid_outside(staff, invoice):
    assert run(staff, "paid", invoice) == ["Done: 1."]
    invoice.refresh_from_db()
    assert invoice.status == "paid"
    assert AuditEntry.objects.get(action="invoice.paid").actor == "staff@vutler.example"


def test_a_draft_is_issued(staff, elena):
    came_early(elena)
    draft = services.draft_month(workspace_id=elena.workspace.pk, month=FEBRUARY, at=CLOSED)
    assert draft
    assert run(staff, "issue", draft) == ["Done: 1."]
    draft.refresh_from_db()
    assert draft.status == "finalized"


def test_a_workbook_of_the_selection(staff, invoice):
    answer = staff.post(INVOICES, {"action": "export_xlsx", "_selected_action": [str(invoice.pk)]})
    assert answer.content.startswith(b"PK")


def test_a_credit_note_in_part_with_a_reason(staff, invoice):
    correct = reverse("admin:billing_invoice_correct", args=[invoice.pk])
    assert "FAQ Bot: 500,000 tokens beyond the plan" in staff.get(correct).content.decode()
    overage = invoice.lines.get(kind="overage")
    answer = staff.post(correct, {"deed": "credit", "reason": "Outage", str(overage.pk): "0.40"}, follow=True)
    assert said(answer) == ["CN-2026-000001 over $0.40 is written."]
    too_much = staff.post(correct, {"deed": "credit", "reason": "Again", str(overage.pk): "0.61"})
    assert "Of this line only $0.60 is left." in too_much.content.decode()
    staff.post(correct, {"deed": "credit", "reason": "All of it"})
    assert sum(note.total for note in CreditNote.objects.all()) == Decimal("186.00")


def test_a_void_needs_a_reason(staff, invoice):
    correct = reverse("admin:billing_invoice_correct", args=[invoice.pk])
    assert staff.post(correct, {"deed": "void", "reason": ""}).status_code == 200
    assert said(staff.post(correct, {"deed": "void", "reason": "Wrong company"}, follow=True)) == [
        "INV-2026-000001 is taken back."
    ]
    assert AuditEntry.objects.get(action="invoice.void").detail["reason"] == "Wrong company"


def test_an_invoice_that_nobody_will_pay(staff, invoice):
    correct = reverse("admin:billing_invoice_correct", args=[invoice.pk])
    staff.post(correct, {"deed": "uncollectible", "reason": "Bankrupt"})
    invoice.refresh_from_db()
    assert invoice.status == "uncollectible"


def test_who_may_only_look_does_nothing(onlooker, invoice):
    assert onlooker.get(INVOICES).status_code == 200
    assert onlooker.get(reverse("admin:billing_invoice_correct", args=[invoice.pk])).status_code == 403
    run(onlooker, "paid", invoice)
    invoice.refresh_from_db()
    assert invoice.status == "finalized"
    assert onlooker.get(reverse("admin:billing_invoice_pdf", args=[invoice.pk])).content.startswith(b"%PDF-")


def test_a_price_in_force_stays_and_a_new_one_is_a_new_row(staff):
    cloud = HostingPlan.objects.get(code="cloud")
    change = reverse("admin:billing_hostingplan_change", args=[cloud.pk])
    assert staff.post(change, {"fee": "1.00"}).status_code == 403
    new = {"code": "cloud", "name": "Cloud", "fee": "200.00", "from_day": "2027-01-01"}
    staff.post(reverse("admin:billing_hostingplan_add"), new)
    assert HostingPlan.objects.get(code="cloud", from_day="2027-01-01").fee == Decimal("200.00")


def test_the_tax_rate_in_percent(staff, elena):
    add = reverse("admin:billing_billingprofile_add")
    known = {"workspace": str(elena.workspace.pk), "legal_name": "Elena", "language": "en", "tax_percent": "8.875"}
    staff.post(add, known)
    assert BillingProfile.objects.get().tax_ppm == 88_750
    change = reverse("admin:billing_billingprofile_change", args=[elena.workspace.pk])
    refused = staff.post(change, {**known, "reverse_charge": "on"})
    assert "Reverse charge needs a VAT number." in refused.content.decode()


def test_a_credit_is_granted(staff, elena):
    granted = {"workspace": str(elena.workspace.pk), "amount": "12.50", "reason": "Outage"}
    staff.post(reverse("admin:billing_credit_add"), granted)
    credit = Credit.objects.get()
    assert (credit.amount, credit.granted_by) == (Decimal("12.50"), "staff@vutler.example")


def test_revenue_says_what_came_in_and_what_the_strategy_expects(staff, invoice):
    shown = staff.get(REVENUE).content.decode()
    for figure in ("$768.00", "+5.3 %", "$15,168.00", "$6,250.00", "+12.5 %", "$56,250.00", "2026-02", "$186.00"):
        assert figure in shown
    own = {"customers": "10", "hosting": "100", "share": "50", "agents": "2", "per_agent": "7"}
    assert "$70.00" in staff.get(REVENUE, own).content.decode()
    assert Client().get(REVENUE).status_code == 302
