"""Stripe as the gateway: https://docs.stripe.com/api, with the SDK's own version of it.

Each call that creates something carries an idempotency key made of our own ids, so that making it again within 24
hours (Stripe's memory) is making it once. Past that, what was created is found by our id in its metadata first.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, Final

import stripe
from stripe.params import InvoiceAddLinesParamsLine

from billing.gateways.base import (
    Away,
    Declined,
    Item,
    Method,
    Note,
    Order,
    Payer,
    Refused,
    Standing,
    State,
)

CURRENCY: Final = "usd"
PATIENCE: Final = 20  # seconds for a call
INTENTS: Final = "payments.data.payment.payment_intent"
PAGE: Final = 100  # what Stripe lists, or takes lines, at once
AGAIN_LATER: Final = frozenset({409, 429})
# Stripe's names for what is done already: somebody was faster, or we were and didn't hear of it.
DONE_ALREADY: Final = frozenset({"invoice_already_finalized", "invoice_already_paid"})
GONE: Final = frozenset({"resource_missing"})


class Stripe:
    """Stripe's API."""

    collects = True
    smallest = Decimal("0.50")  # https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts

    def __init__(self, key: str, *, base: str = "", retries: int = 2) -> None:
        """``base``: another address than Stripe's. A call that isn't answered is made ``retries`` times more."""
        self._stripe = stripe.StripeClient(
            key,
            base_addresses={"api": base} if base else {},
            http_client=stripe.RequestsClient(timeout=PATIENCE),
            max_network_retries=retries,
        ).v1

    # --- Customers ------------------------------------------------------------------------------

    def register(self, payer: Payer, *, known_as: str | None = None) -> str:
        """Return the id of a workspace's customer: the one that is there, or a new one."""
        with _errors():
            customer_id = known_as or self._customer(payer)
            self._stripe.customers.update(
                customer_id, {"name": payer.name, "email": payer.email, "preferred_locales": [payer.language]}
            )
            return customer_id

    def _customer(self, payer: Payer) -> str:
        # Search lags by a minute; within it, the key finds what was made.
        found = self._stripe.customers.search({"query": f"metadata['workspace']:'{payer.workspace_id}'"})
        for each in found.data:
            return each.id
        # Nothing in it that may change before it's made again: the key stands for these very words.
        once = _once(payer.workspace_id, "customer")
        return self._stripe.customers.create({"metadata": {"workspace": str(payer.workspace_id)}}, once).id

    def method(self, customer_id: str) -> Method | None:
        """Return what a customer pays with. What was added last is, where nothing else was chosen."""
        with _errors():
            customer = self._stripe.customers.retrieve(
                customer_id, {"expand": ["invoice_settings.default_payment_method"]}
            )
            if getattr(customer, "deleted", False):
                return None
            chosen = customer.invoice_settings and customer.invoice_settings.default_payment_method
            if isinstance(chosen, stripe.PaymentMethod):
                return Method(id=chosen.id, words=_words(chosen))
            last = next(iter(self._stripe.customers.payment_methods.list(customer_id, {"limit": 1}).data), None)
            if last is None:
                return None
            self._stripe.customers.update(customer_id, {"invoice_settings": {"default_payment_method": last.id}})
            return Method(id=last.id, words=_words(last))

    def page_to_add_method(self, customer_id: str, *, back: str) -> str:
        """Return the address of Stripe's Checkout in setup mode."""
        with _errors():
            session = self._stripe.checkout.sessions.create(
                {
                    "mode": "setup",
                    "customer": customer_id,
                    "currency": CURRENCY,
                    "success_url": back,
                    "cancel_url": back,
                }
            )
            return session.url or back

    def page_of_methods(self, customer_id: str, *, back: str) -> str:
        """Return the address of Stripe's customer portal."""
        with _errors():
            return self._stripe.billing_portal.sessions.create({"customer": customer_id, "return_url": back}).url

    # --- Invoices -------------------------------------------------------------------------------

    def draft(self, order: Order) -> Standing:
        """Begin an invoice without lines that nothing happens to by itself, or find the one that was begun."""
        with _errors():
            there = self._stripe.invoices.list({"customer": order.customer_id, "limit": PAGE})
            ours = str(order.invoice_id)
            for each in there.auto_paging_iter():
                if each.metadata and each.metadata.to_dict().get("invoice") == ours:
                    return _standing(each)
            return _standing(self._stripe.invoices.create(_begun(order), _once(order.invoice_id, "draft")))

    def fill(self, invoice_id: str, order: Order) -> Standing:
        """Put the lines in that aren't there yet, a page of them in a call: all of those or none."""
        with _errors():
            listed = self._stripe.invoices.line_items.list(invoice_id, {"limit": PAGE})
            there = {each.metadata.to_dict().get("place") for each in listed.auto_paging_iter()}
            for start in range(0, len(order.items), PAGE):
                page = order.items[start : start + PAGE]
                if str(page[0].place) not in there:
                    self._stripe.invoices.add_lines(
                        invoice_id, {"lines": [_line(each) for each in page]}, _once(order.invoice_id, f"lines-{start}")
                    )
        return self.look(invoice_id)

    def issue(self, invoice_id: str, order: Order) -> Standing:
        """Finalize it. One that is charged by itself is charged again by Stripe's schedule where that fails."""
        params: stripe.params.InvoiceFinalizeInvoiceParams = {"auto_advance": order.automatic}
        return self._moved(
            invoice_id,
            lambda: self._stripe.invoices.finalize_invoice(invoice_id, params, _once(order.invoice_id, "finalize")),
        )

    def drop(self, invoice_id: str) -> None:
        """Delete a draft."""
        try:
            with _errors():
                self._stripe.invoices.delete(invoice_id)
        except Refused as error:
            if not _is(error, GONE):
                raise

    def send(self, invoice_id: str) -> Standing:
        """Let Stripe send its e-mail with the link to pay."""
        return self._moved(
            invoice_id, lambda: self._stripe.invoices.send_invoice(invoice_id, {}, _once(invoice_id, "send"))
        )

    def charge(self, invoice_id: str, *, method_id: str, attempt: int) -> Standing:
        """Charge it to a method.

        Raises:
            Declined: where the bank says no, or asks its customer to confirm.
        """
        once = _once(invoice_id, f"pay-{method_id}-{attempt}")
        return self._moved(
            invoice_id, lambda: self._stripe.invoices.pay(invoice_id, {"payment_method": method_id}, once)
        )

    def look(self, invoice_id: str) -> Standing:
        """Return how it stands now."""
        with _errors():
            return _standing(self._stripe.invoices.retrieve(invoice_id, {"expand": [INTENTS]}))

    def credit(self, invoice_id: str, note: Note) -> str:
        """Credit part of it. What was paid already goes back the way it came, or was given back elsewhere."""
        with _errors():
            for each in self._stripe.credit_notes.list({"invoice": invoice_id, "limit": PAGE}).auto_paging_iter():
                if each.metadata and each.metadata.to_dict().get("credit_note") == str(note.id):
                    return each.id
            remaining = self._stripe.invoices.retrieve(invoice_id).amount_remaining
            given_back = max(_cents(note.amount) - remaining, 0)
            params: stripe.params.CreditNoteCreateParams = {
                "invoice": invoice_id,
                "amount": _cents(note.amount),
                "memo": f"{note.number}: {note.reason}",
                "metadata": {"credit_note": str(note.id)},
                "email_type": "none",
            }
            if given_back:
                params["out_of_band_amount" if note.outside else "refund_amount"] = given_back
            once = _once(note.id, f"credit-{given_back}-{'outside' if note.outside else 'back'}")
            return self._stripe.credit_notes.create(params, once).id

    def note_paid(self, invoice_id: str) -> Standing:
        """Mark it as paid outside Stripe."""
        once = _once(invoice_id, "paid-outside")
        return self._moved(invoice_id, lambda: self._stripe.invoices.pay(invoice_id, {"paid_out_of_band": True}, once))

    def void(self, invoice_id: str) -> Standing:
        """Void it."""
        return self._moved(
            invoice_id, lambda: self._stripe.invoices.void_invoice(invoice_id, {}, _once(invoice_id, "void"))
        )

    def give_up(self, invoice_id: str) -> Standing:
        """Mark it uncollectible."""
        once = _once(invoice_id, "uncollectible")
        return self._moved(invoice_id, lambda: self._stripe.invoices.mark_uncollectible(invoice_id, {}, once))

    def _moved(self, invoice_id: str, move: Callable[[], stripe.Invoice]) -> Standing:
        """Return how it stands after a move, or as it is where it had been moved before."""
        try:
            with _errors():
                return _standing(move())
        except Refused as error:
            if not _is(error, DONE_ALREADY):
                raise
        return self.look(invoice_id)


@contextmanager
def _errors() -> Iterator[None]:
    """Say in our words what went wrong, without what Stripe quotes of a request."""
    try:
        yield
    except stripe.CardError as error:
        raise Declined(error.code or "declined") from error
    except stripe.IdempotencyError as error:
        raise Refused("idempotency key used with other parameters") from error
    except (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError) as error:
        raise Away(f"{type(error).__name__} {error.http_status or ''}".strip()) from error
    except stripe.StripeError as error:
        kind = Away if error.http_status in AGAIN_LATER else Refused
        raise kind(f"{type(error).__name__}: {error.code or error.http_status}") from error


def _is(error: Refused, codes: frozenset[str]) -> bool:
    return isinstance(error.__cause__, stripe.StripeError) and error.__cause__.code in codes


def _once(owner: object, call: str) -> stripe.RequestOptions:
    return {"idempotency_key": f"vutler-{owner}-{call}"}


def _begun(order: Order) -> stripe.params.InvoiceCreateParams:
    params: stripe.params.InvoiceCreateParams = {
        "customer": order.customer_id,
        "currency": CURRENCY,
        "number": order.number,
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "metadata": {"invoice": str(order.invoice_id)},
    }
    if order.automatic:
        return params | {"collection_method": "charge_automatically"}
    return params | {"collection_method": "send_invoice", "days_until_due": order.days_to_pay}


def _line(item: Item) -> InvoiceAddLinesParamsLine:
    return {
        "description": item.text,
        "amount": _cents(item.amount),
        # Both ends are in the period.
        "period": {"start": _instant(item.first, time.min), "end": _instant(item.last, time(23, 59, 59))},
        "metadata": {"place": str(item.place)},
    }


def _instant(day: Any, moment: time) -> int:
    return int(datetime.combine(day, moment, tzinfo=UTC).timestamp())


def _standing(invoice: stripe.Invoice) -> Standing:
    status = invoice.status or State.DRAFT
    upcoming = invoice.next_payment_attempt
    return Standing(
        id=invoice.id,
        state=State(status),
        total=_usd(invoice.total),
        due=_usd(invoice.amount_remaining) if status == State.OPEN else Decimal("0.00"),
        paid=_usd(max(invoice.amount_paid - (invoice.amount_paid_off_stripe or 0), 0)),
        url=invoice.hosted_invoice_url or "",
        attempts=invoice.attempt_count,
        processing=_processing(invoice),
        next_attempt_at=datetime.fromtimestamp(upcoming, UTC) if upcoming else None,
    )


def _processing(invoice: stripe.Invoice) -> bool:
    """Tell whether a payment is with the bank. Only known of invoices that were asked for with their payments."""
    tried = getattr(invoice, "payments", None)
    intents = (each.payment.payment_intent for each in tried.data) if tried else ()
    return any(isinstance(each, stripe.PaymentIntent) and each.status == "processing" for each in intents)


def _words(method: stripe.PaymentMethod) -> str:
    details = getattr(method, method.type, None)
    kind = getattr(details, "brand", method.type).replace("_", " ")
    last4 = getattr(details, "last4", "")
    return f"{kind[0].upper()}{kind[1:]}{f' •••• {last4}' if last4 else ''}"


def _cents(amount: Decimal) -> int:
    return int(amount.scaleb(2))


def _usd(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
