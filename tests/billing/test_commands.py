"""Closing, checking and exporting a month by hand."""

import hashlib
import json
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection

from billing import services, tasks
from billing.models import Invoice, NumberCounter
from tests.billing.customers import CLOSED, IN_TIME, came_early, on_plan, use

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.fixture
def february(elena) -> None:
    came_early(elena)
    use(on_plan(elena, "economy"), 2_500_000)


def test_close_month_prints_what_it_did(february):
    with time_machine.travel(IN_TIME):
        assert run("close_month", "2026-02") == "2026-02: 0 invoices issued, $0.00 together; 1 drafts wait.\n"
    with time_machine.travel(CLOSED):
        said = json.loads(run("close_month", "2026-02", "--json"))
        assert said == {"month": "2026-02", "workspaces": 1, "issued": 1, "drafts": 0, "total": "186.00"}
        again = json.loads(run("close_month", "2026-02", "--json"))
        assert (again["issued"], again["total"]) == (0, "0.00")


def test_a_month_that_is_not_over_is_refused(february):
    with time_machine.travel("2026-02-20T00:00:00Z"), pytest.raises(CommandError, match="isn't over"):
        run("close_month", "2026-02")


@pytest.mark.parametrize("month", ["2026-13", "february", "2026-2"])
def test_what_is_no_month(month):
    with pytest.raises(CommandError):
        run("close_month", month)


def test_the_timetable_closes_the_month(february, mailoutbox):
    with time_machine.travel(IN_TIME):
        assert tasks.close_months() == 0
        assert tasks.issue_waiting() == 0
    with time_machine.travel(CLOSED):
        assert tasks.issue_waiting() == 1
        assert tasks.close_months() == 0
    assert len(mailoutbox) == 1


def test_reconcile_finds_nothing(february):
    with time_machine.travel(CLOSED):
        run("close_month", "2026-02")
        assert run("reconcile", "2026-02") == "2026-02: 1 invoices checked, 0 differences.\n"


@pytest.mark.parametrize(
    ("spoil", "difference"),
    [
        ("UPDATE billing_invoiceline SET amount = 101 WHERE kind = 'overage'", "amount is 1.01, computed 1.00"),
        ("UPDATE metering_usagerecord SET tokens_input = 1", "tokens is 2500000, computed 1"),
        ("DELETE FROM metering_usagerecord", "number of records is 1, computed 0"),
        ("UPDATE billing_invoice SET subtotal = 18700, total = 18700", "sum of its lines is 187.00, computed 186.00"),
    ],
)
def test_reconcile_names_what_differs(february, spoil, difference):
    with time_machine.travel(CLOSED):
        run("close_month", "2026-02")
        with connection.cursor() as cursor:
            cursor.execute(spoil)
        out = StringIO()
        with pytest.raises(CommandError):
            call_command("reconcile", "2026-02", stdout=out)
    assert difference in out.getvalue()


def test_reconcile_misses_numbers_and_workspaces(february, alex):
    with time_machine.travel(CLOSED):
        run("close_month", "2026-02")
        NumberCounter.objects.update(last=3)
        came_early(alex)
        with pytest.raises(CommandError):
            run("reconcile", "2026-02", "--json")
        out = StringIO()
        with pytest.raises(CommandError):
            call_command("reconcile", "2026-02", "--json", stdout=out)
    found = [(each["what"], each["said"], each["found"]) for each in json.loads(out.getvalue())["differences"]]
    assert found == [
        ("INV-2026-000002", "missing", "given out"),
        ("INV-2026-000003", "missing", "given out"),
        ("invoice of 2026-02", "not issued", "$180.00"),
    ]


def test_reconcile_after_a_credit_note_and_a_late_record(february, elena):
    bot = elena.workspace.agents.get()
    with time_machine.travel(CLOSED):
        run("close_month", "2026-02")
        invoice = Invoice.objects.get()
        line = invoice.lines.get(kind="overage")
        services.credit(invoice=invoice, reason="Outage", at=CLOSED, by="Finance", amounts={line.pk: line.amount})
        use(bot, 1)
        assert run("reconcile", "2026-02") == "2026-02: 1 invoices checked, 0 differences.\n"
    rows = elena.client().get(f"/api/v1/invoices/{invoice.pk}/lines/{line.pk}/records/").json()["results"]
    behind = "".join(f"{row['id']} {row['tokens_input']} {row['tokens_output']}\n" for row in reversed(rows))
    assert hashlib.sha256(behind.encode()).hexdigest() == line.digest
    assert len(rows) == line.records == 1


def test_what_a_credit_note_says_too_much_is_a_difference(february):
    with time_machine.travel(CLOSED):
        run("close_month", "2026-02")
        services.credit(invoice=Invoice.objects.get(), reason="Outage", at=CLOSED, by="Finance")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE billing_creditnote SET subtotal = 18700, total = 18700")
        out = StringIO()
        with pytest.raises(CommandError):
            call_command("reconcile", "2026-02", stdout=out)
    assert "CN-2026-000001: sum of its lines is 187.00, computed 186.00" in out.getvalue()
    assert "INV-2026-000001: credited is 187.00, computed at most 186.00" in out.getvalue()


def test_late_records_are_no_difference(february, elena):
    with time_machine.travel(CLOSED):
        run("close_month", "2026-02")
        use(elena.workspace.agents.get(), 3_000_000)
        run("reconcile", "2026-02")
    with time_machine.travel("2026-04-02T00:00:00Z"):
        run("close_month", "2026-03")
        run("reconcile", "2026-03")
    assert Invoice.objects.get(period_start__month=3).lines.filter(kind="late").count() == 1


@pytest.mark.parametrize(("form", "begins"), [("csv", b"invoice,customer"), ("xlsx", b"PK"), ("pdf", None)])
def test_a_month_as_files(february, tmp_path, form, begins):
    with time_machine.travel(CLOSED):
        run("close_month", "2026-02")
    target = tmp_path / "out" / form
    assert run("export_invoices", "2026-02", "--format", form, "--output", str(target)) == f"{target}\n"
    if begins:
        assert target.read_bytes().startswith(begins)
    else:
        assert [each.name for each in target.iterdir()] == ["INV-2026-000001.pdf"]


def test_a_month_without_invoices_is_not_exported(db, tmp_path):
    with pytest.raises(CommandError, match="No invoice"):
        run("export_invoices", "2026-02", "--output", str(tmp_path / "x"))
