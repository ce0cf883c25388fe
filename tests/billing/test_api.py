"""Invoices in the management API, down to the requests behind a line."""

import hashlib
from decimal import Decimal

import pytest

from agents.models import Member, Role
from billing import services
from billing.models import Invoice
from tests.agents.program import program_of
from tests.billing.customers import CLOSED, FEBRUARY, came_early, on_plan, use

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def program(elena):
    return program_of(elena)


@pytest.fixture
def invoice(elena) -> Invoice:
    came_early(elena)
    bot = on_plan(elena, "economy")
    use(bot, 1_500_000)
    use(bot, 1_000_000)
    [issued] = services.close(workspace_ids=[elena.workspace.pk], month=FEBRUARY, at=CLOSED)
    use(bot, 7)  # late: not behind this invoice
    return issued


def test_the_list_and_one_of_them(program, invoice):
    [shown] = program.get("invoices/").json()["results"]
    assert (shown["number"], shown["status"], shown["month"], shown["total"], shown["due"]) == (
        "INV-2026-000001",
        "finalized",
        "2026-02",
        "186.00",
        "186.00",
    )
    whole = program.get(f"invoices/{invoice.pk}/").json()
    assert [(line["kind"], line["amount"], line["unit_price"], line["quantity"]) for line in whole["lines"]] == [
        ("hosting", "180.00", "180.00", 0),
        ("plan", "5.00", "5.00", 0),
        ("overage", "1.00", "2.00", 500_000),
    ]
    assert whole["parties"]["buyer"]["name"] == "Elena & Co"


def test_a_line_opens_into_its_requests_and_finance_computes_the_digest(program, invoice):
    line = program.get(f"invoices/{invoice.pk}/").json()["lines"][-1]
    page = program.get(f"invoices/{invoice.pk}/lines/{line['id']}/records/").json()
    assert (page["next"], len(page["results"])) == (None, 2)
    records = sorted(page["results"], key=lambda each: each["id"])
    text = "".join(f"{each['id']} {each['tokens_input']} {each['tokens_output']}\n" for each in records)
    assert hashlib.sha256(text.encode()).hexdigest() == line["digest"]
    assert sum(each["tokens_input"] + each["tokens_output"] for each in records) == line["tokens"] == 2_500_000


def test_the_requests_come_in_pages(program, elena):
    came_early(elena)
    bot = on_plan(elena, "economy")
    for _ in range(52):
        use(bot, 100_000)
    [issued] = services.close(workspace_ids=[elena.workspace.pk], month=FEBRUARY, at=CLOSED)
    line = issued.lines.get(kind="overage")
    first = program.get(f"invoices/{issued.pk}/lines/{line.pk}/records/").json()
    second = program.get(first["next"].partition("/api/v1/")[2]).json()
    assert (len(first["results"]), len(second["results"]), second["next"]) == (50, 2, None)
    assert program.get(f"invoices/{issued.pk}/lines/{line.pk}/records/", cursor="nonsense").status_code == 400


def test_hosting_has_no_requests(program, invoice):
    line = invoice.lines.get(kind="hosting")
    assert program.get(f"invoices/{invoice.pk}/lines/{line.pk}/records/").json()["results"] == []


def test_files(program, invoice):
    pdf, csv = (program.get(f"invoices/{invoice.pk}/{kind}/") for kind in ("pdf", "csv"))
    assert (pdf["content-type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    assert csv["content-disposition"] == 'attachment; filename="INV-2026-000001.csv"'
    assert csv.content.startswith(b"invoice,customer,kind")


def test_somebody_elses_invoice_is_not_there(invoice, alex):
    other, line = program_of(alex), invoice.lines.get(kind="overage")
    assert other.get("invoices/").json()["results"] == []
    for path in ("", "pdf/", "csv/", f"lines/{line.pk}/records/"):
        assert other.get(f"invoices/{invoice.pk}/{path}").status_code == 404


def test_invoices_are_for_those_who_see_to_billing(invoice, elena, maya):
    colleague = Member.objects.create(workspace=elena.workspace, user=maya.user, role=Role.MEMBER)
    client = maya.client()
    client.post(f"/workspaces/{elena.workspace.pk}/switch/")
    assert client.get(f"/api/v1/invoices/{invoice.pk}/").status_code == 403
    assert client.get("/billing/").status_code == 403
    assert "/billing/" not in client.get("/agents/").content.decode()
    colleague.role = Role.BILLING
    colleague.save()
    assert client.get(f"/api/v1/invoices/{invoice.pk}/").json()["total"] == str(Decimal("186.00"))
    assert client.get("/billing/").status_code == 200
