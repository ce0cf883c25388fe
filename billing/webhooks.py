"""Where Stripe tells us what happened: believed if it's signed, kept by its id, and looked at by a job."""

import json
from typing import Final

import structlog
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError

from billing import hearing, tasks

TOLERANCE: Final = 300  # seconds
TELL_AGAIN: Final = 400

log = structlog.get_logger(__name__)


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Take an event in. What isn't signed, or was signed more than five minutes ago, is refused."""
    if not settings.STRIPE_WEBHOOK_SECRET:
        raise Http404
    from stripe import SignatureVerificationError, WebhookSignature  # as in billing.gateways

    signature = request.headers.get("stripe-signature", "")
    try:
        WebhookSignature.verify_header(request.body, signature, settings.STRIPE_WEBHOOK_SECRET, TOLERANCE)
        event = json.loads(request.body)
        waiting = hearing.take_note(event)
    except (SignatureVerificationError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("stripe_event_refused", reason=type(error).__name__)
        return HttpResponse(status=TELL_AGAIN)
    if waiting:
        _enqueue(event["id"])
    return HttpResponse(status=204)


def _enqueue(event_id: str) -> None:
    try:
        tasks.hear.delay(event_id)
    except OperationalError:
        log.warning("stripe_event_waits", event=event_id)  # for the timetable
