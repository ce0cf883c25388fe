"""What came in for invoices: at whoever takes our payments as we last saw it, or marked as paid by staff.

Nobody is asked: ``billing.settling`` keeps what Stripe says up to date.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from billing.gateways import gateway
from billing.gateways.base import State
from billing.invoicing import NOTHING
from billing.models import Invoice, Status
from billing.payments import SentCreditNote, SentInvoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """An invoice where it's paid, in USD: what it's over, what was paid, and what of that was given back.

    ``to_give_back``: credited after it was paid, and still ours.
    """

    invoiced: Decimal
    paid: Decimal = NOTHING
    given_back: Decimal = NOTHING
    to_give_back: Decimal = NOTHING


def collected(invoices: Collection[Invoice]) -> Mapping[UUID, Collected]:
    """Return how each of the invoices stands; one that isn't there, or was taken back there, has nothing.

    Invoices come with their credit notes prefetched.
    """
    there = SentInvoice.objects.filter(invoice__in=invoices).exclude(stripe_id=None)
    sent = there.exclude(state__in=["", State.DRAFT, State.VOID]).in_bulk()
    mirrored = set(SentCreditNote.objects.filter(note__invoice__in=invoices).values_list("note_id", flat=True))
    to_come = gateway().collects
    found = {}
    for invoice in invoices:
        if at_stripe := sent.get(invoice.pk):
            found[invoice.pk] = _at_stripe(invoice, at_stripe, mirrored)
        elif invoice.status != Status.VOID and not (to_come and invoice.status == Status.FINALIZED):
            found[invoice.pk] = _by_hand(invoice)
    return found


def _at_stripe(invoice: Invoice, sent: SentInvoice, mirrored: Collection[UUID]) -> Collected:
    """Return how an invoice stands there. A credit note beyond what is open there gives money back."""
    if sent.outside:
        return _by_hand(invoice)
    credited = sum((note.total for note in invoice.credit_notes.all() if note.pk in mirrored), NOTHING)
    given_back = max(sent.paid + credited - sent.total, NOTHING)
    owed_back = max(sent.paid + invoice.credited - sent.total, NOTHING)
    return Collected(
        invoiced=sent.total, paid=sent.paid, given_back=given_back, to_give_back=max(owed_back - given_back, NOTHING)
    )


def _by_hand(invoice: Invoice) -> Collected:
    """Return how an invoice stands that staff mark as paid: what wasn't credited before came in on that day.

    What was credited afterwards is taken to have been given back.
    """
    paid_at = invoice.paid_at
    if invoice.status != Status.PAID or paid_at is None:
        return Collected(invoiced=invoice.total)
    later = sum((note.total for note in invoice.credit_notes.all() if note.issued_at > paid_at), NOTHING)
    return Collected(invoiced=invoice.total, paid=invoice.total - invoice.credited + later, given_back=later)
