"""Brings an invoice and what the gateway has of it together, whichever of them moved.

``settle`` may be called at any time, for any invoice, by anybody: after an invoice moved, after the gateway told of
something, by the timetable. It goes on from what is stored, asks the gateway for the rest, and stores each id before
the next call, so that being killed anywhere loses nothing and does nothing twice.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.core.exceptions import ValidationError
from django.db.models import F, Q
from django.utils import translation
from django.utils.translation import gettext as _

from agents.models import Member, Role, Workspace
from billing import services
from billing.gateways import gateway as configured
from billing.gateways import orders
from billing.gateways.base import Away, Declined, Gateway, GatewayError, Method, Standing, State
from billing.gateways.local import STATES
from billing.models import Invoice, Status
from billing.payments import PaymentAccount, SentCreditNote, SentInvoice

HELD_FOR: Final = timedelta(minutes=5)  # longer than anybody alive takes
BY: Final = "Stripe"

log = structlog.get_logger(__name__)


class Busy(Exception):
    """Somebody else is at this invoice."""


# --- Bringing together --------------------------------------------------------------------------


def settle(*, invoice_id: UUID, at: datetime, gateway: Gateway | None = None) -> bool:
    """Bring an invoice and the gateway together; return whether both say the same now.

    What went wrong is kept for staff to see, and tried again by the timetable.

    Raises:
        Busy: while somebody else is at it.
    """
    with _held(invoice_id, at=at) as sent:
        try:
            _bring_together(sent, gateway or configured(), at=at)
        except (GatewayError, ValidationError) as error:
            _trouble(sent, error)
        return not sent.problem


def pay(*, invoice_id: UUID, at: datetime, gateway: Gateway | None = None) -> State | None:
    """Charge an open invoice now, to the method its customer has; return its state there.

    None where it isn't there, isn't open, or there is no method.

    Raises:
        Busy: while a payment is under way: pressing twice is pressing once.
        Declined: where the bank says no.
        GatewayError: where the gateway couldn't be asked.
    """
    gateway = gateway or configured()
    with _held(invoice_id, at=at) as sent:
        if sent.state != State.OPEN or not account_of(sent.invoice.workspace).method_id:
            return None
        _learn(sent, gateway, at=at)
        if sent.state == State.OPEN and not sent.processing:
            try:
                _charge(sent, gateway)
            finally:
                _learn(sent, gateway, at=at)
        return State(sent.state)


@contextmanager
def _held(invoice_id: UUID, *, at: datetime) -> Iterator[SentInvoice]:
    """Keep others from the invoice meanwhile. Not by a transaction: what is stored on the way must stay."""
    invoice = Invoice.objects.get(pk=invoice_id)
    SentInvoice.objects.get_or_create(
        invoice=invoice, defaults={"automatic": bool(account_of(invoice.workspace).method_id)}
    )
    free, until = Q(held_until=None) | Q(held_until__lte=at), at + HELD_FOR
    if not SentInvoice.objects.filter(free, pk=invoice_id).update(held_until=until):
        raise Busy
    try:
        yield SentInvoice.objects.select_related("invoice__workspace").get(pk=invoice_id)
    finally:
        SentInvoice.objects.filter(pk=invoice_id, held_until=until).update(held_until=None)


def _bring_together(sent: SentInvoice, gateway: Gateway, *, at: datetime) -> None:
    sent.problem = ""
    if sent.stripe_id is None:
        if sent.invoice.status != Status.FINALIZED or _waived(sent, gateway, at=at):
            sent.save(update_fields=["problem"])
            return
        account = registered(sent.invoice.workspace, gateway)
        _keep(sent, gateway.draft(orders.order(sent, account)), at=at)
    if sent.state == State.DRAFT and not _issued(sent, gateway, at=at):
        return
    _learn(sent, gateway, at=at)
    # All of these, whatever the others did.
    moved = [each(sent, gateway, at=at) for each in (_waived, _mirror_notes, _mirror_status, _collect)]
    if any(moved):
        _learn(sent, gateway, at=at)
    _compare(sent)


def _waived(sent: SentInvoice, gateway: Gateway, *, at: datetime) -> bool:
    """Credit what is left to pay and too little to be charged; tell whether that was the case."""
    invoice = sent.invoice
    if invoice.status != Status.FINALIZED or invoice.due >= gateway.smallest:
        return False
    with translation.override(invoice.snapshot["language"]):
        reason = _("Too little to be charged.")
    services.credit(invoice=invoice, reason=reason, at=at, by=BY)
    return True


def _issued(sent: SentInvoice, gateway: Gateway, *, at: datetime) -> bool:
    """Fill the gateway's draft, and finalize it if it comes to exactly what ours does.

    Where ours isn't to be paid any more the draft is thrown away; returns whether there is an invoice now.
    """
    assert sent.stripe_id  # noqa: S101
    if sent.invoice.status != Status.FINALIZED:
        gateway.drop(sent.stripe_id)
        sent.stripe_id, sent.state = None, ""
        sent.save(update_fields=["stripe_id", "state", "problem"])
        return False
    order = orders.order(sent, account_of(sent.invoice.workspace))
    filled = gateway.fill(sent.stripe_id, order)
    if filled.total != sent.invoice.total:
        raise GatewayError(f"comes to ${filled.total} there, and to ${sent.invoice.total} here: not finalized")
    _keep(sent, gateway.issue(sent.stripe_id, order), at=at)
    return True


def _learn(sent: SentInvoice, gateway: Gateway, *, at: datetime) -> None:
    """Take over what happened there: it was paid, taken back or given up."""
    assert sent.stripe_id  # noqa: S101
    _keep(sent, gateway.look(sent.stripe_id), at=at)
    invoice = sent.invoice
    invoice.refresh_from_db()
    if sent.state == State.PAID and invoice.status == Status.VOID:
        raise GatewayError("paid there after it was taken back here: refund it")
    try:
        if sent.state == State.PAID:
            services.mark_paid(invoice=invoice, at=at, by=BY)
        elif sent.state == State.VOID and invoice.status in {Status.FINALIZED, Status.UNCOLLECTIBLE}:
            services.void(invoice=invoice, at=at, by=BY, reason="Voided at Stripe")
        elif sent.state == State.UNCOLLECTIBLE and invoice.status == Status.FINALIZED:
            services.mark_uncollectible(invoice=invoice, at=at, by=BY, reason="Given up at Stripe")
    except ValidationError as error:
        raise GatewayError("; ".join(error.messages)) from error


def _mirror_notes(sent: SentInvoice, gateway: Gateway, *, at: datetime) -> bool:
    """Write there the credit notes that were written here; tell whether there were any."""
    missing = list(sent.invoice.credit_notes.filter(sent=None)) if sent.state != State.VOID else []
    assert sent.stripe_id  # noqa: S101
    for written in missing:
        stripe_id = gateway.credit(sent.stripe_id, orders.note(written, outside=sent.outside))
        SentCreditNote.objects.get_or_create(note=written, defaults={"stripe_id": stripe_id})
    if missing:
        _keep(sent, gateway.look(sent.stripe_id), at=at)
    return bool(missing)


def _mirror_status(sent: SentInvoice, gateway: Gateway, *, at: datetime) -> bool:
    """Do there what was done here: paid by hand, taken back, given up; tell whether there was anything to do."""
    assert sent.stripe_id  # noqa: S101
    here, unpaid = sent.invoice.status, sent.state in {State.OPEN, State.UNCOLLECTIBLE}
    if here == Status.PAID and unpaid:
        sent.outside = True
        _keep(sent, gateway.note_paid(sent.stripe_id), at=at)
    elif here == Status.VOID and unpaid:
        _keep(sent, gateway.void(sent.stripe_id), at=at)
    elif here == Status.UNCOLLECTIBLE and sent.state == State.OPEN:
        _keep(sent, gateway.give_up(sent.stripe_id), at=at)
    else:
        return False
    return True


def _compare(sent: SentInvoice) -> None:
    if sent.state == State.OPEN and sent.due != sent.invoice.due:
        raise GatewayError(f"${sent.due} is due there, and ${sent.invoice.due} here")


def _collect(sent: SentInvoice, gateway: Gateway, *, at: datetime) -> bool:
    """Charge it for the first time where its customer has a method for that, or else have it sent; tell whether so."""
    if sent.state != State.OPEN or sent.collected_at or not gateway.collects:
        return False
    assert sent.stripe_id  # noqa: S101
    if not sent.automatic:
        gateway.send(sent.stripe_id)
    elif not sent.attempts:
        try:
            _charge(sent, gateway)
        except Declined:
            log.info("payment_declined", invoice=str(sent.invoice))
    sent.collected_at = at
    sent.save(update_fields=["collected_at"])
    return True


def _charge(sent: SentInvoice, gateway: Gateway) -> None:
    assert sent.stripe_id  # noqa: S101
    account = account_of(sent.invoice.workspace)
    if not account.method_id:
        raise Declined("no payment method")
    try:
        gateway.charge(sent.stripe_id, method_id=account.method_id, attempt=sent.charges)
    except Away:
        raise  # perhaps it was charged: asking again must be asking the same
    except GatewayError:
        _count_charge(sent)
        raise
    _count_charge(sent)


def _count_charge(sent: SentInvoice) -> None:
    SentInvoice.objects.filter(pk=sent.pk).update(charges=F("charges") + 1)
    sent.refresh_from_db(fields=["charges"])


def _keep(sent: SentInvoice, standing: Standing, *, at: datetime) -> None:
    """Store how it stands there."""
    unpaid = standing.state == State.OPEN and not standing.processing
    failing = unpaid and sent.automatic and standing.attempts > 0
    sent.stripe_id, sent.state = standing.id, standing.state
    sent.total, sent.due, sent.paid = standing.total, standing.due, standing.paid
    sent.url, sent.attempts, sent.next_attempt_at = standing.url, standing.attempts, standing.next_attempt_at
    sent.failed_at = (sent.failed_at or at) if failing else None
    sent.processing = standing.processing
    sent.looked_at = at
    sent.save(
        update_fields=[
            *("stripe_id", "state", "total", "due", "paid", "url", "attempts", "next_attempt_at", "failed_at"),
            *("looked_at", "processing", "outside", "problem"),
        ]
    )


def _trouble(sent: SentInvoice, error: GatewayError | ValidationError) -> None:
    said = "; ".join(error.messages) if isinstance(error, ValidationError) else str(error)
    sent.problem = said[:300]
    sent.save(update_fields=["problem"])
    say = log.warning if isinstance(error, Away) else log.error
    say("invoice_not_settled", invoice=str(sent.invoice), stripe_id=sent.stripe_id, reason=said)


# --- What is to be settled ----------------------------------------------------------------------


def unsettled(*, at: datetime, look_again: timedelta) -> list[UUID]:
    """Return the invoices that the gateway doesn't have as they are here, and open ones not looked at for so long."""
    there = Q(sent__stripe_id__isnull=False)
    never = Q(status=Status.FINALIZED) & (Q(sent=None) | Q(sent__stripe_id=None))
    agrees = Q(pk__in=[])
    for here, state in STATES.items():
        agrees |= Q(status=here, sent__state=state)
    old = Q(sent__state=State.OPEN, sent__looked_at__lte=at - look_again)
    uncredited = Q(credit_notes__isnull=False, credit_notes__sent=None) & ~Q(sent__state=State.VOID)
    troubled = Q(sent__isnull=False) & ~Q(sent__problem="")
    wanted = never | troubled | (there & (~agrees | old | uncredited))
    found = Invoice.objects.issued().filter(wanted).order_by("finalized_at", "number")
    return list(dict.fromkeys(found.values_list("pk", flat=True)))


def workspace_of(invoice_id: UUID) -> UUID:
    """Return whose invoice it is."""
    return Invoice.objects.values_list("workspace_id", flat=True).get(pk=invoice_id)


# --- Customers ----------------------------------------------------------------------------------


def account_of(workspace: Workspace) -> PaymentAccount:
    """Return a workspace's account. Doesn't save."""
    return PaymentAccount.objects.filter(pk=workspace.pk).first() or PaymentAccount(workspace=workspace)


def registered(workspace: Workspace, gateway: Gateway) -> PaymentAccount:
    """Return a workspace's account with its customer at the gateway, made or brought up to date.

    Raises:
        GatewayError: where the gateway couldn't be asked.
    """
    account, _made = PaymentAccount.objects.get_or_create(workspace=workspace)
    owner = Member.objects.filter(workspace=workspace, role=Role.OWNER).order_by("created_at", "pk").first()
    payer = orders.payer(services.profile_of(workspace), email=owner.user.email if owner else "")
    account.customer_id = gateway.register(payer, known_as=account.customer_id)
    account.save(update_fields=["customer_id"])
    return account


def refresh_method(workspace: Workspace, *, gateway: Gateway | None = None) -> PaymentAccount:
    """Take over what a workspace pays with.

    Raises:
        GatewayError: where the gateway couldn't be asked.
    """
    account = account_of(workspace)
    if account.customer_id is None:
        return account
    method = (gateway or configured()).method(account.customer_id) or Method(id="", words="")
    account.method_id, account.method = method.id, method.words
    account.save(update_fields=["method_id", "method"])
    return account
