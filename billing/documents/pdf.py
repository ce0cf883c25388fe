"""Documents as PDF/A, set with typst."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import typst

from billing.documents.content import Content, of_credit_note, of_invoice
from billing.models import CreditNote, Invoice

TEMPLATE: Final = Path(__file__).with_name("invoice.typ")


def invoice_pdf(invoice: Invoice) -> bytes:
    """Return an invoice as PDF."""
    return typeset(of_invoice(invoice))


def credit_note_pdf(note: CreditNote) -> bytes:
    """Return a credit note as PDF."""
    return typeset(of_credit_note(note))


def typeset(content: Content) -> bytes:
    """Return a document as PDF/A-3, its font inside."""
    inputs = {"content": json.dumps(content.plain())}
    return typst.compile(
        TEMPLATE, root=TEMPLATE.parent, font_paths=[_fonts()], sys_inputs=inputs, pdf_standards=["a-3b"]
    )


@cache
def _fonts() -> Path:
    # Only its files are wanted.
    spec = find_spec("font_roboto")
    assert spec  # noqa: S101 — it is among the requirements
    assert spec.origin  # noqa: S101
    return Path(spec.origin).with_name("files")
