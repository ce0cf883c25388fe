"""The pages of invoices: what the next one will be, those that are there, who they are made out to."""

from datetime import UTC, datetime

import pytest
import time_machine

from agents.models import AuditEntry
from billing import services
from billing.forms import BillingForm
from billing.models import BillingProfile
from tests.billing.customers import CLOSED, FEBRUARY, came_early, on_plan, use

pytestmark = pytest.mark.django_db(transaction=True)


def page(person, path: str = "/billing/") -> str:
    answer = person.client().get(path)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_elena_sees_what_her_next_invoice_will_be(elena):
    came_early(elena)
    use(on_plan(elena, "economy"), 2_500_000)
    with time_machine.travel(datetime(2026, 2, 20, tzinfo=UTC)):
        shown = page(elena)
    assert '<strong id="next-total">$186.00</strong>' in shown
    assert "FAQ Bot: 500,000 tokens beyond the plan" in shown
    assert "February 2026 so far. It closes on March 1, 2026." in shown
    assert "Your first invoice comes when this month is over." in shown


def test_she_opens_an_invoice_down_to_the_requests(elena):
    came_early(elena)
    record = use(on_plan(elena, "economy"), 2_500_000)
    [issued] = services.close(workspace_ids=[elena.workspace.pk], month=FEBRUARY, at=CLOSED)
    assert f'href="/billing/invoices/{issued.pk}/"' in page(elena)
    line = issued.lines.get(kind="overage")
    shown = page(elena, f"/billing/invoices/{issued.pk}/")
    assert "$186.00" in shown
    assert f'href="/billing/invoices/{issued.pk}/lines/{line.pk}/"' in shown
    behind = page(elena, f"/billing/invoices/{issued.pk}/lines/{line.pk}/")
    assert record in behind
    assert line.digest in behind
    assert elena.client().get(f"/billing/invoices/{issued.pk}/pdf/").content.startswith(b"%PDF-")
    assert elena.client().get(f"/billing/invoices/{issued.pk}/csv/").status_code == 200


def test_a_credit_note_is_beside_its_invoice(elena):
    came_early(elena)
    [issued] = services.close(workspace_ids=[elena.workspace.pk], month=FEBRUARY, at=CLOSED)
    note = services.credit(invoice=issued, reason="Outage on 12 February", at=CLOSED, by="Finance")
    assert "Outage on 12 February" in page(elena, f"/billing/invoices/{issued.pk}/")
    assert elena.client().get(f"/billing/credit-notes/{note.pk}/pdf/").content.startswith(b"%PDF-")


def test_somebody_elses_is_not_there(elena, alex):
    came_early(elena)
    [issued] = services.close(workspace_ids=[elena.workspace.pk], month=FEBRUARY, at=CLOSED)
    note = services.credit(invoice=issued, reason="Outage", at=CLOSED, by="Finance")
    line = issued.lines.get()
    for path in ("", "pdf/", "csv/", f"lines/{line.pk}/"):
        assert alex.client().get(f"/billing/invoices/{issued.pk}/{path}").status_code == 404
    assert alex.client().get(f"/billing/credit-notes/{note.pk}/pdf/").status_code == 404


DETAILS = {
    "legal_name": "Elena Fleurs SARL",
    "address": "8 rue des Lilas\r\n69003 Lyon",
    "country": "FR",
    "vat_number": "fr 40 303 265 045",
    "email": "",
    "language": "fr",
}


def test_she_says_who_invoices_are_made_out_to(elena):
    answer = elena.client().post("/billing/details/", DETAILS)
    assert answer.status_code == 302
    profile = BillingProfile.objects.get(workspace=elena.workspace)
    assert (profile.legal_name, profile.vat_number, profile.language) == ("Elena Fleurs SARL", "FR40303265045", "fr")
    assert AuditEntry.objects.filter(action="billing.changed").count() == 1
    shown = page(elena)
    assert "Elena Fleurs SARL" in shown
    assert "France" in shown


def test_a_wrong_vat_number_is_told(elena):
    answer = elena.client().post("/billing/details/", {**DETAILS, "vat_number": "FR40303265046"})
    assert answer.status_code == 422
    assert "This isn&#x27;t a VAT number of that country." in answer.content.decode()


@pytest.mark.parametrize(
    ("country", "number", "official"),
    [
        ("DE", "136695976", "DE136695976"),
        ("CH", "CHE-107.787.577 IVA", "CHE107787577IVA"),
        ("GB", "GB 980 7806 84", "980780684"),
        ("GR", "EL 094259216", "EL094259216"),
        ("US", "12-3456789", "12-3456789"),
    ],
)
def test_vat_numbers_of_the_world(country, number, official):
    form = BillingForm({**DETAILS, "country": country, "vat_number": number})
    assert form.is_valid(), form.errors
    assert form.cleaned_data["vat_number"] == official


def test_reverse_charge_ends_with_another_vat_number(elena):
    BillingProfile.objects.create(workspace=elena.workspace, vat_number="FR40303265045", reverse_charge=True)
    elena.client().post("/billing/details/", {**DETAILS, "vat_number": ""})
    assert BillingProfile.objects.get(workspace=elena.workspace).reverse_charge is False
