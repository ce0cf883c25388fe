"""Our invoices as orders for a gateway: amounts to the cent, and no more lines than one takes."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from django.utils import translation

from billing.gateways.base import Item, Note, Order, Payer
from billing.invoicing import NOTHING, Kind
from billing.models import BillingProfile, CreditNote, Invoice, InvoiceLine
from billing.payments import PaymentAccount, SentInvoice
from billing.snapshots import describe_together, tax_name
from metering.periods import Month

MOST: Final = 249  # lines: Stripe takes 250, and tax is one
DAY: Final = timedelta(days=1)
OF_AGENTS: Final = frozenset({Kind.PLAN.value, Kind.OVERAGE.value, Kind.LATE.value})


def order(sent: SentInvoice, account: PaymentAccount) -> Order:
    """Return an issued invoice as an order. Its items come to exactly its total."""
    invoice = sent.invoice
    issued, due = invoice.finalized_at, invoice.due_at
    if issued is None or due is None:
        raise ValueError(f"{invoice} isn't issued")
    with translation.override(invoice.snapshot["language"]):
        return Order(
            invoice_id=invoice.pk,
            number=str(invoice.number),
            customer_id=account.customer_id or "",
            automatic=sent.automatic,
            days_to_pay=(due - issued).days,
            items=tuple(_items(invoice)),
        )


def payer(profile: BillingProfile, *, email: str) -> Payer:
    """Return who pays as a customer."""
    return Payer(
        workspace_id=profile.workspace_id,
        name=profile.legal_name or profile.workspace.name,
        email=profile.email or email,
        language=profile.language,
    )


def note(written: CreditNote, *, outside: bool) -> Note:
    """Return a credit note as a gateway gets it."""
    return Note(id=written.pk, number=written.number, reason=written.reason, amount=written.total, outside=outside)


def _items(invoice: Invoice) -> list[Item]:
    lines = list(invoice.lines.all())
    items = _by_plan(lines) if len(lines) > MOST else [_item(each) for each in lines]
    if invoice.tax:
        first, last = _days(invoice.month)
        text = tax_name(invoice.tax_rate)
        # A line of its own: what we computed once on the sum, and nothing that is rounded again line by line.
        items.append(Item(place=0, text=text, amount=invoice.tax, first=first, last=last))
    return items


def _item(line: InvoiceLine) -> Item:
    first, last = _days(line.of_month)
    return Item(place=line.position, text=line.description, amount=line.amount, first=first, last=last)


def _by_plan(lines: Sequence[InvoiceLine]) -> list[Item]:
    """Sum agents' lines up by kind, tier and month, in the places of their first ones. Our document has each."""
    groups: dict[tuple[object, ...], list[InvoiceLine]] = defaultdict(list)
    for line in lines:
        grouped = line.kind in OF_AGENTS
        groups[(line.kind, line.tier, line.month) if grouped else (line.pk,)].append(line)
    return [_item(each[0]) if len(each) == 1 else _together(each) for each in groups.values()]


def _together(lines: Sequence[InvoiceLine]) -> Item:
    line = lines[0]
    first, last = _days(line.of_month)
    return Item(
        place=line.position,
        text=describe_together(line, agents=len({each.agent_id for each in lines})),
        amount=sum((each.amount for each in lines), NOTHING),
        first=first,
        last=last,
    )


def _days(month: Month) -> tuple[date, date]:
    """Return the first and the last day of a month."""
    return month.start.date(), (month.end - DAY).date()
