"""Invoices as tables, for spreadsheets and bookkeeping: a row a line, and one for the tax."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.db.models import prefetch_related_objects

from billing.documents import sheets
from billing.documents.sheets import Sheet
from billing.models import Invoice, InvoiceLine

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
    return sheets.as_csv(Sheet(name="Lines", header=LINES, rows=_line_rows(invoices)))


def as_xlsx(invoices: Iterable[Invoice]) -> bytes:
    """Return invoices as a workbook: one sheet of invoices, one of their lines."""
    known = list(invoices)
    return sheets.as_xlsx(
        [
            Sheet(name="Invoices", header=SUMS, rows=_sum_rows(known)),
            Sheet(name="Lines", header=LINES, rows=_line_rows(known)),
        ]
    )


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
