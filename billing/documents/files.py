"""Documents as files that a browser or a program fetches."""

import io
import zipfile
from collections.abc import Iterable, Sequence
from typing import Final

from django.http import HttpResponse

from billing.documents import pdf, sheets, tables
from billing.documents.sheets import Sheet
from billing.models import CreditNote, Invoice

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def invoice_pdf(invoice: Invoice) -> HttpResponse:
    """Answer with an invoice as PDF."""
    return _file(pdf.invoice_pdf(invoice), name=f"{invoice}.pdf", kind="application/pdf")


def credit_note_pdf(note: CreditNote) -> HttpResponse:
    """Answer with a credit note as PDF."""
    return _file(pdf.credit_note_pdf(note), name=f"{note}.pdf", kind="application/pdf")


def invoice_csv(invoice: Invoice) -> HttpResponse:
    """Answer with an invoice's lines as CSV."""
    return _file(tables.as_csv([invoice]).encode(), name=f"{invoice}.csv", kind="text/csv; charset=utf-8")


def invoices_csv(invoices: Sequence[Invoice]) -> HttpResponse:
    """Answer with the lines of invoices as CSV."""
    return _file(tables.as_csv(invoices).encode(), name="invoices.csv", kind="text/csv; charset=utf-8")


def workbook(invoices: Sequence[Invoice]) -> HttpResponse:
    """Answer with invoices as XLSX."""
    return _file(tables.as_xlsx(invoices), name="invoices.xlsx", kind=XLSX)


def sheet(of: Sheet, *, name: str, kind: str) -> HttpResponse:
    """Answer with a table as ``csv`` or ``xlsx``."""
    if kind == "csv":
        return _file(sheets.as_csv(of).encode(), name=f"{name}.csv", kind="text/csv; charset=utf-8")
    return _file(sheets.as_xlsx([of]), name=f"{name}.xlsx", kind=XLSX)


def book(of: Iterable[Sheet], *, name: str) -> HttpResponse:
    """Answer with tables as a workbook."""
    return _file(sheets.as_xlsx(of), name=f"{name}.xlsx", kind=XLSX)


def bundle(invoices: Sequence[Invoice]) -> HttpResponse:
    """Answer with invoices and their credit notes as PDF, in a ZIP."""
    out = io.BytesIO()
    # Not compressed: a PDF is already.
    with zipfile.ZipFile(out, "w") as archive:
        for invoice in invoices:
            archive.writestr(f"{invoice}.pdf", pdf.invoice_pdf(invoice))
            for note in invoice.credit_notes.all():
                archive.writestr(f"{note}.pdf", pdf.credit_note_pdf(note))
    return _file(out.getvalue(), name="invoices.zip", kind="application/zip")


def _file(content: bytes, *, name: str, kind: str) -> HttpResponse:
    return HttpResponse(content, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
