"""Django's requests in the log: each has an id, which every line about it carries and the answer's header names."""

import re
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from structlog.contextvars import bind_contextvars, clear_contextvars

from metering.usage import record_id

HEADER: Final = "x-request-id"
# A proxy's own id is taken over if it is one, and isn't a way to write into our log.
FIT: Final = re.compile(r"[A-Za-z0-9._-]{8,64}").fullmatch
# They are asked every few seconds, and only their failures are news.
UNREMARKABLE: Final = frozenset({"healthz", "readyz", "metrics"})
WRONG: Final = 400

log = structlog.get_logger(__name__)


@sync_and_async_middleware
def request_log(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Give each request its id, and write a line once it is answered."""

    async def in_loop(request: HttpRequest) -> HttpResponse:
        request_id, began = _begun(request), time.perf_counter()
        return _noted(request, await get_response(request), request_id=request_id, began=began)

    def in_thread(request: HttpRequest) -> HttpResponse:
        request_id, began = _begun(request), time.perf_counter()
        return _noted(request, get_response(request), request_id=request_id, began=began)

    return in_loop if iscoroutinefunction(get_response) else in_thread


def _begun(request: HttpRequest) -> str:
    """Return the request's id, and have it on every line from here. Django's own lines come after all middleware."""
    given = request.headers.get(HEADER, "")
    request_id = given if FIT(given) else record_id()
    clear_contextvars()
    bind_contextvars(request_id=request_id)
    return request_id


def _noted(request: HttpRequest, response: HttpResponse, *, request_id: str, began: float) -> HttpResponse:
    response[HEADER] = request_id
    # The route and not the path: there are links that let in whoever has them.
    route = request.resolver_match.route if request.resolver_match else ""
    if route not in UNREMARKABLE or response.status_code >= WRONG:
        log.info(
            "page",
            method=request.method,
            route=route,
            http_status=response.status_code,
            latency_ms=round((time.perf_counter() - began) * 1000),
        )
    return response
