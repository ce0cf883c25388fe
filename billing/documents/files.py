"""Documents as files that a browser or a program fetches."""

from collections.abc import Sequence

from django.http import HttpResponse

from billing.documents import pdf, tables
from billing.models import CreditNote, Invoice


def invoice_pdf(invoice: Invoice) -> HttpResponse:
    """Answer with an invoice as PDF."""
    return _file(pdf.invoice_pdf(invoice), name=f"{invoice}.pdf", kind="application/pdf")


def credit_note_pdf(note: CreditNote) -> HttpResponse:
    """Answer with a credit note as PDF."""
    return _file(pdf.credit_note_pdf(note), name=f"{note}.pdf", kind="application/pdf")


def invoice_csv(invoice: Invoice) -> HttpResponse:
    """Answer with an invoice's lines as CSV."""
    return _file(tables.as_csv([invoice]).encode(), name=f"{invoice}.csv", kind="text/csv; charset=utf-8")


def workbook(invoices: Sequence[Invoice]) -> HttpResponse:
    """Answer with invoices as XLSX."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return _file(tables.as_xlsx(invoices), name="invoices.xlsx", kind=kind)


def _file(content: bytes, *, name: str, kind: str) -> HttpResponse:
    return HttpResponse(content, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
