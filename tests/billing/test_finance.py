"""What those in the group Finance may do without being superusers, and others not."""

import io
import zipfile
from decimal import Decimal

import pytest
import time_machine
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from kombu.exceptions import OperationalError

from agents.models import AuditEntry, User
from billing import services, tasks
from billing.models import BillingProfile, Credit, CreditNote, HostingChoice, HostingPlan, Invoice
from metering import rollups
from tests.billing.customers import CLOSED, FEBRUARY, came_early, on_plan, use
from tests.conftest import PASSWORD, browser_of

pytestmark = pytest.mark.django_db

CLOSE = reverse("admin:billing_close")
INVOICES = reverse("admin:billing_invoice_changelist")


@pytest.fixture
def finance(db) -> Client:
    user = User.objects.create_user("finance@vutler.example", PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name="Finance"))
    return browser_of(user)


@pytest.fixture
def invoice(elena) -> Invoice:
    came_early(elena)
    use(on_plan(elena, "economy"), 2_500_000)
    rollups.roll_up()
    [issued] = services.close(workspace_ids=[elena.workspace.pk], month=FEBRUARY, at=CLOSED)
    return issued


def run(client: Client, action: str, *invoices: Invoice):
    return client.post(INVOICES, {"action": action, "_selected_action": [str(each.pk) for each in invoices]})


def test_finance_closes_a_month_and_reads_its_report(finance, elena, mailoutbox):
    came_early(elena)
    use(on_plan(elena, "economy"), 2_500_000)
    rollups.roll_up()
    with time_machine.travel(CLOSED, tick=False):
        assert "One thing is to be looked at." in finance.get(CLOSE).content.decode()
        said = finance.post(CLOSE, {"month": "2026-02"}, follow=True).content.decode()
    assert "2026-02 is being closed." in said
    assert "Everything agrees." in said
    for figure in ("2,500,000", "$186.00", "−$186.00", "INV-2026-000001 Elena &amp; Co"):
        assert figure in said
    assert AuditEntry.objects.get(action="invoice.issued").actor == "finance@vutler.example"
    assert len(mailoutbox) == 1


def test_a_close_that_cannot_be_started_says_so_and_what_to_do(finance, elena, monkeypatch):
    came_early(elena)

    def away(*_args: str, **_names: str) -> None:
        raise OperationalError("Error 111 connecting to 127.0.0.1:6379. Connection refused.")

    monkeypatch.setattr(tasks.close_month, "delay", away)
    with time_machine.travel(CLOSED, tick=False):
        said = finance.post(CLOSE, {"month": "2026-02"}, follow=True).content.decode()
    assert "The close of 2026-02 couldn&#x27;t be started, and nothing has changed" in said
    assert "run manage.py close_month 2026-02 on the server" in said
    assert ("is being closed" in said, "6379" in said) == (False, False)
    assert not Invoice.objects.exists()


def test_a_month_that_goes_on_is_not_closed(finance, elena):
    came_early(elena)
    with time_machine.travel("2026-02-20T00:00:00Z", tick=False):
        said = finance.post(CLOSE, {"month": "2026-02"}, follow=True).content.decode()
    assert "This month isn&#x27;t over." in said
    assert not Invoice.objects.exists()


@pytest.mark.parametrize("month", ["", "2026-13", "1999-01", "x"])
def test_a_month_that_makes_no_sense_is_the_last_one(finance, invoice, month):
    with time_machine.travel(CLOSED, tick=False):
        assert "Close of 2026-02" in finance.get(CLOSE, {"month": month}).content.decode()


def test_the_report_as_a_workbook(finance, invoice):
    with time_machine.travel(CLOSED, tick=False):
        answer = finance.get(CLOSE, {"month": "2026-02", "format": "xlsx"})
    assert answer["content-disposition"] == 'attachment; filename="close-2026-02.xlsx"'
    texts = zipfile.ZipFile(io.BytesIO(answer.content)).read("xl/sharedStrings.xml").decode()
    assert f"{INVOICES}?q=INV-2026-000001" in texts


def test_exports_of_the_selection(finance, invoice):
    services.credit(invoice=invoice, reason="Outage", at=CLOSED, by="Finance")
    assert run(finance, "export_csv", invoice).content.startswith(b"invoice,customer")
    assert run(finance, "export_xlsx", invoice).content.startswith(b"PK")
    archive = zipfile.ZipFile(io.BytesIO(run(finance, "export_pdf", invoice).content))
    assert archive.namelist() == ["INV-2026-000001.pdf", "CN-2026-000001.pdf"]
    assert archive.read("INV-2026-000001.pdf").startswith(b"%PDF-")
    note = reverse("admin:billing_creditnote_pdf", args=[invoice.credit_notes.get().pk])
    assert finance.get(note).content.startswith(b"%PDF-")


def test_finance_corrects_grants_and_prices(finance, elena, invoice):
    correct = reverse("admin:billing_invoice_correct", args=[invoice.pk])
    finance.post(correct, {"deed": "credit", "reason": "Outage", str(invoice.lines.all()[0].pk): "1.00"})
    assert CreditNote.objects.get().issued_by == "finance@vutler.example"
    of = {"workspace": str(elena.workspace.pk)}
    finance.post(reverse("admin:billing_credit_add"), {**of, "amount": "12.50", "reason": "Goodwill"})
    assert Credit.objects.get().amount == Decimal("12.50")
    price = {"code": "cloud", "name": "Cloud", "fee": "200.00", "from_day": "2027-01-01"}
    finance.post(reverse("admin:billing_hostingplan_add"), price)
    assert HostingPlan.objects.filter(from_day="2027-01-01").exists()
    add_choice = reverse("admin:billing_hostingchoice_add")
    assert "Select a valid choice" in finance.post(add_choice, {**of, "code": "clod", "from_day": "2026-04-01"}).text
    finance.post(add_choice, {**of, "code": "self-hosted", "from_day": "2026-04-01"})
    assert HostingChoice.objects.get().code == "self-hosted"
    payer = {**of, "legal_name": "Elena", "language": "en", "tax_percent": "20"}
    finance.post(reverse("admin:billing_billingprofile_add"), payer)
    assert BillingProfile.objects.get().tax_ppm == 200_000
    assert "invoice.credited" in finance.get(reverse("admin:agents_auditentry_changelist")).content.decode()


@pytest.mark.parametrize("page", ["agents_user", "agents_providerkey", "llm_poolkey", "auth_group"])
def test_finance_sees_nothing_else(finance, page):
    assert finance.get(reverse(f"admin:{page}_changelist")).status_code == 403


def test_who_may_only_look_neither_sees_the_close_nor_closes(onlooker, elena, invoice):
    assert onlooker.get(CLOSE).status_code == 403
    assert onlooker.get(CLOSE, {"format": "xlsx"}).status_code == 403
    assert onlooker.post(CLOSE, {"month": "2026-02"}).status_code == 403
    assert CLOSE not in onlooker.get(INVOICES).content.decode()
    assert elena.client().get(CLOSE).status_code == 302


def test_what_a_superuser_takes_from_the_group_stays_away(db):
    group = Group.objects.get(name="Finance")
    group.permissions.remove(Permission.objects.get(codename="add_credit"))
    call_command("migrate", verbosity=0)
    assert not group.permissions.filter(codename="add_credit").exists()


def test_who_gets_how_the_invoice_is_for_programs(finance, invoice):
    page = finance.get(reverse("admin:billing_invoice_change", args=[invoice.pk])).content.decode()
    assert "(SELLER_COUNTRY)" in page
