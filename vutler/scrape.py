"""``/metrics``: for Prometheus, and nobody from outside."""

import hmac
import ipaddress
from http import HTTPStatus
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from llm.exposition import exposition

# Whoever comes with one of these came through a proxy, and may be anybody.
FORWARDED: Final = ("x-forwarded-for", "forwarded", "x-real-ip")


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer whoever has METRICS_TOKEN; where none is set, whoever asks directly from a private address."""
    if not _may_ask(request):
        return HttpResponse(
            "Ask from a private address and not through a proxy, or set METRICS_TOKEN and send it as a bearer token.\n",
            status=HTTPStatus.FORBIDDEN,
            content_type="text/plain",
        )
    found = exposition(numbers=settings.METRICS_DIR, journal=settings.JOURNAL_DIR)
    return HttpResponse(found, content_type=CONTENT_TYPE_LATEST)


def _may_ask(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        shown = request.headers.get("authorization", "")
        return hmac.compare_digest(shown.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_private
    except ValueError:
        return False
