"""What a document says, in the customer's language, whatever it is then written as."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from babel import Locale
from django.utils import translation
from django.utils.formats import date_format, number_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from billing.invoicing import Kind
from billing.models import CreditNote, Invoice, InvoiceLine, Status
from billing.snapshots import describe_together, tax_name

# More lines than that are summed up by plan, with the detail behind.
MANY: Final = 40
DAY: Final = timedelta(days=1)
METERED: Final = frozenset({Kind.OVERAGE.value, Kind.LATE.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the document's table."""

    text: str
    quantity: str
    price: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A document in words, of a day (year, month, day, UTC).

    ``facts`` and ``sums`` are names with values; the last of ``sums`` is the total.
    """

    title: str
    language: str
    day: dict[str, int]
    seller: dict[str, Any]
    buyer: dict[str, Any]
    facts: list[tuple[str, str]]
    rows: list[Row]
    detail: list[Row]
    sums: list[tuple[str, str]]
    notes: list[str]
    labels: dict[str, str]

    def plain(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return asdict(self)


def of_invoice(invoice: Invoice) -> Content:
    """Return what an invoice, or its draft, says."""
    with translation.override(invoice.snapshot["language"]):
        lines = list(invoice.lines.all())
        return _content(
            invoice,
            title=_("Invoice") if invoice.number else _("Draft of an invoice"),
            at=invoice.finalized_at or invoice.created_at,
            facts=_invoice_facts(invoice),
            parts=[(line, line.amount) for line in lines],
            sums=(invoice.subtotal, invoice.tax, invoice.total),
            total_name=_("Total, %(currency)s") % {"currency": invoice.currency},
            notes=_invoice_notes(invoice),
        )


def of_credit_note(note: CreditNote) -> Content:
    """Return what a credit note says. What it gives back is negative."""
    invoice = note.invoice
    with translation.override(invoice.snapshot["language"]):
        facts = [
            (_("Number"), note.number),
            (_("Date"), _day(note.issued_at)),
            (_("For invoice"), str(invoice)),
        ]
        parts = [(part.line, -part.amount) for part in note.lines.select_related("line").order_by("line__position")]
        return _content(
            invoice,
            title=_("Credit note"),
            at=note.issued_at,
            facts=facts,
            parts=parts,
            sums=(-note.subtotal, -note.tax, -note.total),
            total_name=_("Credited, %(currency)s") % {"currency": invoice.currency},
            notes=[_("Reason: %(reason)s") % {"reason": note.reason}],
        )


def money(amount: Decimal) -> str:
    """Return an amount as the active language writes dollars: $1,234.50, or −$5.00 for a credit."""
    digits = number_format(abs(amount), 2, force_grouping=True)
    said = _("$%(amount)s") % {"amount": digits}
    return f"−{said}" if amount < 0 else said


def country_name(code: str) -> str:
    """Return a country by its two letters, in the active language."""
    return str(Locale(translation.get_language() or "en").territories.get(code, code))


def _content(
    invoice: Invoice,
    *,
    title: str,
    at: datetime,
    facts: list[tuple[str, str]],
    parts: Sequence[tuple[InvoiceLine, Decimal]],
    sums: tuple[Decimal, Decimal, Decimal],
    total_name: str,
    notes: list[str],
) -> Content:
    many = len(parts) > MANY
    subtotal, tax, total = sums
    taxed = [(tax_name(invoice.tax_rate), money(tax))] if tax or invoice.tax_ppm else []
    before = [(_("Subtotal"), money(subtotal)), *taxed] if taxed else []
    seller, buyer = invoice.snapshot["seller"], invoice.snapshot["buyer"]
    return Content(
        title=title,
        language=invoice.snapshot["language"],
        day={"year": at.year, "month": at.month, "day": at.day},
        seller={"registration": "", **seller, "country": country_name(seller.get("country", ""))},
        buyer={**buyer, "country": country_name(buyer["country"])},
        facts=facts,
        rows=_by_plan(parts) if many else [_row(line, amount) for line, amount in parts],
        detail=[_row(line, amount) for line, amount in parts if line.agent_id] if many else [],
        sums=[*before, (total_name, money(total))],
        notes=notes,
        labels={
            "to": _("Billed to"),
            "text": _("Description"),
            "quantity": _("Tokens"),
            "price": _("Price"),
            "amount": _("Amount"),
            "detail": _("Detail by agent"),
            "vat": capfirst(_("VAT number")),
            "registration": _("Registration"),
            "page": _("Page"),
            "of": _("of"),
        },
    )


def _invoice_facts(invoice: Invoice) -> list[tuple[str, str]]:
    last = date_format(invoice.period_end - DAY, "DATE_FORMAT")
    period = f"{date_format(invoice.period_start, 'DATE_FORMAT')} – {last}"
    if invoice.finalized_at is None or invoice.due_at is None:
        return [(_("Period"), period)]
    return [
        (_("Number"), str(invoice.number)),
        (_("Date"), _day(invoice.finalized_at)),
        (_("Due"), _day(invoice.due_at)),
        (_("Period"), period),
    ]


def _invoice_notes(invoice: Invoice) -> list[str]:
    notes = []
    if invoice.snapshot["reverse_charge"]:
        notes.append(_("Reverse charge: the recipient is liable for the VAT."))
    if invoice.status == Status.PAID and invoice.paid_at:
        notes.append(_("Paid on %(day)s. Thank you.") % {"day": _day(invoice.paid_at)})
    elif invoice.status == Status.FINALIZED and invoice.due_at:
        notes.append(_("Please pay by %(day)s.") % {"day": _day(invoice.due_at)})
    elif invoice.status == Status.VOID:
        notes.append(_("This invoice was taken back. Nothing is to be paid."))
    notes.append(_("Months are calendar months in UTC. A token is counted once, as input or as output."))
    return notes


def _row(line: InvoiceLine, amount: Decimal) -> Row:
    # A credit note over part of a line isn't over all of its tokens.
    metered = line.kind in METERED and abs(amount) == line.amount
    return Row(
        text=line.description,
        quantity=number_format(line.quantity, force_grouping=True) if metered else "",
        price=_("%(price)s per million") % {"price": money(line.unit_price)} if metered else "",
        amount=money(amount),
    )


def _by_plan(parts: Iterable[tuple[InvoiceLine, Decimal]]) -> list[Row]:
    """Sum agents' lines up by what they are for and the plan; what is no agent's stays as it is."""
    groups: dict[tuple[str, str], list[tuple[InvoiceLine, Decimal]]] = defaultdict(list)
    for line, amount in parts:
        groups[line.kind, line.tier or str(line.pk)].append((line, amount))
    # What lies beyond a plan comes after the plan.
    plans = list(dict.fromkeys(tier for _kind, tier in groups))
    together = sorted(groups, key=lambda group: plans.index(group[1]))
    return [_group(kind, groups[kind, tier]) for kind, tier in together]


def _group(kind: str, members: Sequence[tuple[InvoiceLine, Decimal]]) -> Row:
    line = members[0][0]
    if not line.tier:
        return _row(*members[0])
    tokens = sum(each.quantity for each, _amount in members)
    return Row(
        text=describe_together(line, agents=len({each.agent_id for each, _amount in members})),
        quantity=number_format(tokens, force_grouping=True) if kind in METERED else "",
        price=_row(*members[0]).price,
        amount=money(sum((amount for _line, amount in members), Decimal())),
    )


def _day(moment: datetime) -> str:
    return date_format(moment, "DATE_FORMAT")
