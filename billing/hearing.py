"""What the gateway tells us: an event says what to look at, and is believed in nothing else.

So events may come twice, late, in any order, or never: whoever looks finds how it stands now.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from billing import settling
from billing.gateways.base import Away, Refused
from billing.payments import PaymentAccount, SentInvoice, StripeEvent

log = structlog.get_logger(__name__)

OF_CUSTOMERS: Final = ("customer.", "checkout.session.", "setup_intent.", "payment_method.")
KEPT_FOR: Final = timedelta(days=90)


def take_note(event: Mapping[str, Any]) -> bool:
    """Keep an event by its id; return whether something is to be done about it still."""
    about = event["data"]["object"]
    kind, customer = about.get("object"), about.get("customer")
    StripeEvent.objects.bulk_create(
        [
            StripeEvent(
                id=event["id"],
                type=event["type"],
                invoice_id=about["id"] if kind == "invoice" else "",
                customer_id=about["id"] if kind == "customer" else customer if isinstance(customer, str) else "",
            )
        ],
        ignore_conflicts=True,
    )
    return StripeEvent.objects.filter(pk=event["id"], handled_at=None).exists()


def hear(*, event_id: str, at: datetime) -> UUID | None:
    """Look at what an event is about; return the workspace that it is of, if it's one of ours.

    While somebody else is at it, or the gateway is away, the event waits.
    """
    event = StripeEvent.objects.filter(pk=event_id, handled_at=None).first()
    if event is None:
        return None
    try:
        workspace_id = _look_at(event, at=at)
    except (settling.Busy, Away):
        return None
    except Refused as error:
        log.warning("stripe_event_in_vain", event_id=event_id, type=event.type, reason=str(error))
        workspace_id = None
    StripeEvent.objects.filter(pk=event_id).update(handled_at=at)
    return workspace_id


def _look_at(event: StripeEvent, *, at: datetime) -> UUID | None:
    # By the ids that we stored ourselves: what an event's metadata says of whose it is, anybody may have written.
    if event.invoice_id:
        sent = SentInvoice.objects.select_related("invoice").filter(stripe_id=event.invoice_id).first()
        if sent:
            settling.settle(invoice_id=sent.pk, at=at)
        return sent.invoice.workspace_id if sent else None
    if not event.customer_id or not event.type.startswith(OF_CUSTOMERS):
        return None
    account = PaymentAccount.objects.select_related("workspace").filter(customer_id=event.customer_id).first()
    if account:
        settling.refresh_method(account.workspace)
    return account.workspace_id if account else None


def waiting() -> list[str]:
    """Return the events that nothing was done about yet, the oldest first."""
    return list(StripeEvent.objects.filter(handled_at=None).order_by("received_at").values_list("pk", flat=True))


def forget(*, at: datetime) -> None:
    """Forget events that Stripe can't tell again."""
    StripeEvent.objects.filter(received_at__lt=at - KEPT_FOR).exclude(handled_at=None).delete()
