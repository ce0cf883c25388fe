"""Invoices as documents: what they say, in whose language, and as which files."""

import csv
import io
import zipfile
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.core import mail as outbox

from billing import mail, services
from billing.documents import content, pdf, tables
from billing.models import BillingProfile
from tests.billing.customers import APRIL_CLOSED, CLOSED, FEBRUARY, MARCH, came_early, on_plan, use

pytestmark = pytest.mark.django_db(transaction=True)


def issue(person, **profile):
    came_early(person)
    known = {"legal_name": "Elena Fleurs SARL", "address": "8 rue des Lilas\n69003 Lyon", "country": "FR"}
    BillingProfile.objects.create(workspace=person.workspace, **{**known, **profile})
    [issued] = services.close(workspace_ids=[person.workspace.pk], month=FEBRUARY, at=CLOSED)
    return issued


def test_what_an_invoice_says(elena):
    use(on_plan(elena, "economy"), 2_500_000)
    said = content.of_invoice(issue(elena, tax_ppm=88_750))
    assert said.facts == [
        ("Number", "INV-2026-000001"),
        ("Date", "March 2, 2026"),
        ("Due", "March 16, 2026"),
        ("Period", "Feb. 1, 2026 – Feb. 28, 2026"),
    ]
    assert [(row.text, row.quantity, row.price, row.amount) for row in said.rows] == [
        ("Hosting, Cloud, February 2026", "", "", "$180.00"),
        ("FAQ Bot: Starter, February 2026", "", "", "$5.00"),
        ("FAQ Bot: 500,000 tokens beyond the plan", "500,000", "$2.00 per million", "$1.00"),
    ]
    assert said.sums == [("Subtotal", "$186.00"), ("Tax 8.875%", "$16.51"), ("Total, USD", "$202.51")]
    assert (said.buyer["name"], said.buyer["country"]) == ("Elena Fleurs SARL", "France")
    assert said.notes[0] == "Please pay by March 16, 2026."


@pytest.mark.parametrize(("tax_ppm", "said"), [(200_000, "TVA 20\u00a0%"), (55_000, "TVA 5,5\u00a0%")])
def test_in_french_a_tax_is_vat_with_its_rate_as_the_french_write_it(elena, tax_ppm, said):
    invoice = issue(elena, tax_ppm=tax_ppm, language="fr", vat_number="FR40303265045")
    note = services.credit(invoice=invoice, reason="Panne", at=CLOSED, by="Finance")
    for written in (content.of_invoice(invoice), content.of_credit_note(note)):
        assert written.sums[1][0] == said
        assert written.labels["vat"] == "Numéro de TVA"
        assert "tax" not in str(written.plain()).lower()


def test_many_agents_are_summed_up_by_plan_with_the_detail_behind(elena):
    for number in range(41):
        bot = on_plan(elena, "economy", name=f"Bot {number}")
        if number < 2:
            use(bot, 3_000_000)
    said = content.of_invoice(issue(elena))
    assert [(row.text, row.quantity, row.amount) for row in said.rows] == [
        ("Hosting, Cloud, February 2026", "", "$180.00"),
        ("Starter, 41 agents", "", "$205.00"),
        ("Beyond Starter, 2 agents", "2,000,000", "$4.00"),
    ]
    assert len(said.detail) == 43
    assert said.sums == [("Total, USD", "$389.00")]


def test_an_agent_that_is_late_with_two_months_is_one_agent(elena):
    came_early(elena)
    bot, *_more = [on_plan(elena, "economy", name=f"Bot {number}") for number in range(40)]
    for month, at in ((FEBRUARY, CLOSED), (MARCH, APRIL_CLOSED)):
        services.close(workspace_ids=[elena.workspace.pk], month=month, at=at)
    use(bot, 3_000_000)
    use(bot, 3_000_000, at=datetime(2026, 3, 16, tzinfo=UTC))
    may = datetime(2026, 5, 2, tzinfo=UTC)
    [april] = services.close(workspace_ids=[elena.workspace.pk], month=MARCH.next(), at=may)
    late = content.of_invoice(april).rows[-1]
    assert (late.text, late.amount) == ("Counted after its invoice, Starter, 1 agent", "$4.00")


def test_reverse_charge_is_said(elena):
    said = content.of_invoice(issue(elena, vat_number="FR40303265045", reverse_charge=True))
    assert said.notes[0] == "Reverse charge: the recipient is liable for the VAT."


def test_a_credit_note_gives_back(elena):
    invoice = issue(elena, tax_ppm=200_000)
    note = services.credit(invoice=invoice, reason="Outage", at=CLOSED, by="Finance")
    said = content.of_credit_note(note)
    assert said.sums == [("Subtotal", "−$180.00"), ("Tax 20%", "−$36.00"), ("Credited, USD", "−$216.00")]
    assert pdf.credit_note_pdf(note).startswith(b"%PDF-")


@pytest.mark.parametrize("name", ["Elena Fleurs SARL", '#panic() $x$ "\\', "社名", "*" * 120])
def test_whatever_a_customer_is_called_it_is_set_as_text(elena, name):
    made = pdf.invoice_pdf(issue(elena, legal_name=name))
    assert made.startswith(b"%PDF-")


def test_the_lines_as_csv_add_up_and_hold_no_formula(elena):
    use(on_plan(elena, "economy", name='=HYPERLINK("http://evil.example")'), 2_500_000)
    invoice = issue(elena, tax_ppm=200_000)
    rows = list(csv.DictReader(io.StringIO(tables.as_csv([invoice]))))
    assert sum(Decimal(row["amount"]) for row in rows) == invoice.total == Decimal("223.20")
    assert [row["kind"] for row in rows] == ["hosting", "plan", "overage", "tax"]
    assert not any(cell.startswith("=") for row in rows for cell in row.values())
    assert rows[2]["digest"] == invoice.lines.get(kind="overage").digest


def test_a_workbook_holds_no_formula_either(elena):
    on_plan(elena, "economy", name="=1+1")
    book = zipfile.ZipFile(io.BytesIO(tables.as_xlsx([issue(elena)])))
    assert b"<f>" not in book.read("xl/worksheets/sheet2.xml")
    assert b"INV-2026-000001" in book.read("xl/sharedStrings.xml")


def test_the_invoice_comes_by_e_mail_once(elena):
    issue(elena)
    assert (mail.send_waiting(at=CLOSED), mail.send_waiting(at=CLOSED)) == (1, 0)
    [message] = outbox.outbox
    assert message.subject == "Invoice INV-2026-000001: $180.00 for February 2026"
    assert message.to == ["elena@elena.example"]
    assert message.attachments[0].filename == "INV-2026-000001.pdf"


def test_it_goes_to_the_address_for_invoices(elena):
    issue(elena, email="accounts@elena.example")
    mail.send_waiting(at=CLOSED)
    assert outbox.outbox[0].to == ["accounts@elena.example"]


def test_what_cannot_be_sent_waits(elena, monkeypatch):
    invoice = issue(elena)

    def away(_invoice):
        raise ConnectionRefusedError

    monkeypatch.setattr(mail, "send", away)
    assert mail.send_waiting(at=CLOSED) == 0
    invoice.refresh_from_db()
    assert invoice.mailed_at is None
