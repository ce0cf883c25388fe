"""Documents as PDF/A-3, set with typst, with the same for programs inside (Factur-X)."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import typst

from billing.documents import e_invoice, xmp
from billing.documents.content import Content, of_credit_note, of_invoice
from billing.models import CreditNote, Invoice

TEMPLATE: Final = Path(__file__).with_name("invoice.typ")


def invoice_pdf(invoice: Invoice) -> bytes:
    """Return an invoice as PDF. As long as nothing is paid or taken back, it's the same to the byte."""
    return typeset(of_invoice(invoice), xml=e_invoice.of_invoice(invoice))


def credit_note_pdf(note: CreditNote) -> bytes:
    """Return a credit note as PDF, always the same to the byte."""
    return typeset(of_credit_note(note), xml=e_invoice.of_credit_note(note))


def typeset(content: Content, *, xml: bytes | None = None) -> bytes:
    """Return a document as PDF/A-3, its font inside, and ``xml`` as its alternative for programs."""
    inputs = {"content": json.dumps(content.plain()), "xml": (xml or b"").decode()}
    made = typst.compile(
        TEMPLATE, root=TEMPLATE.parent, font_paths=[_fonts()], sys_inputs=inputs, pdf_standards=["a-3b"]
    )
    return xmp.declare(made) if xml else made


@cache
def _fonts() -> Path:
    # Only its files are wanted.
    spec = find_spec("font_roboto")
    assert spec  # noqa: S101 — it is among the requirements
    assert spec.origin  # noqa: S101
    return Path(spec.origin).with_name("files")
