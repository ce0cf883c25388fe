"""Invoices as tables, for spreadsheets and bookkeeping: a row a line, and one for the tax."""

import csv
import io
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

import xlsxwriter
from django.db.models import prefetch_related_objects

from billing.models import Invoice, InvoiceLine

# A cell that begins with one of these is a formula to a spreadsheet.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

SUMS: Final = (
    *("invoice", "status", "customer", "period_start", "period_end", "issued", "due", "paid"),
    *("currency", "subtotal", "tax_rate", "tax", "total", "credited"),
)
LINES: Final = (
    *("invoice", "customer", "kind", "month", "description", "agent_id", "agent", "plan", "quantity"),
    *("unit_price", "amount", "currency", "tokens", "included_tokens", "records", "digest"),
)


def as_csv(invoices: Iterable[Invoice]) -> str:
    """Return the lines of invoices as CSV with a header, amounts in USD with a point."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(LINES)
    table.writerows([_harmless(cell) for cell in row] for row in _line_rows(invoices))
    return out.getvalue()


def as_xlsx(invoices: Iterable[Invoice]) -> bytes:
    """Return invoices as a workbook: one sheet of invoices, one of their lines."""
    known = list(invoices)
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        bold, cents = book.add_format({"bold": True}), book.add_format({"num_format": "#,##0.00"})
        for name, header, rows in (("Invoices", SUMS, _sum_rows(known)), ("Lines", LINES, _line_rows(known))):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, header, bold)
            sheet.freeze_panes(1, 0)
            for number, row in enumerate(rows, start=1):
                for column, cell in enumerate(row):
                    sheet.write(number, column, cell, cents if isinstance(cell, Decimal) else None)
            sheet.autofit()
    return out.getvalue()


def _sum_rows(invoices: Iterable[Invoice]) -> Iterator[list[Any]]:
    for each in invoices:
        moments = (each.period_start, each.period_end, each.finalized_at, each.due_at, each.paid_at)
        yield [
            str(each),
            each.status,
            each.snapshot["buyer"]["name"],
            *(moment.date().isoformat() if moment else "" for moment in moments),
            *(each.currency, each.subtotal, each.tax_rate, each.tax, each.total, each.credited),
        ]


def _line_rows(invoices: Iterable[Invoice]) -> Iterator[list[Any]]:
    known = list(invoices)
    prefetch_related_objects(known, "lines")
    for invoice in known:
        customer = invoice.snapshot["buyer"]["name"]
        for line in invoice.lines.all():
            yield _line_row(invoice, line, customer)
        tax = ["tax", str(invoice.month), f"{invoice.tax_rate.normalize():f}%", "", "", "", "", ""]
        yield [str(invoice), customer, *tax, invoice.tax, invoice.currency, "", "", "", ""]


def _line_row(invoice: Invoice, line: InvoiceLine, customer: str) -> list[Any]:
    return [
        str(invoice),
        customer,
        line.kind,
        str(line.of_month),
        line.description,
        str(line.agent_id or ""),
        line.name if line.agent_id else "",
        line.tier,
        line.quantity,
        line.unit_price,
        line.amount,
        invoice.currency,
        line.tokens,
        line.included_tokens,
        line.records,
        line.digest,
    ]


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
