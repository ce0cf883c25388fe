"""Is the process up, and can it do its work? For load balancers and whoever is woken at night."""

import os
import tempfile
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import Error, connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from llm import running
from metering.store import StoreUnavailable

PATIENCE = 2  # seconds for Redis to answer
OK = "ok"
LOCAL_LIMITS = "kept by each process for itself, until Redis is back"


@require_safe
@never_cache
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer: the process is up. Restart it when this fails."""
    return HttpResponse(OK, content_type="text/plain")


@require_safe
@never_cache
def readyz(_request: HttpRequest) -> HttpResponse:
    """Tell part by part whether requests can be served; 503 when not, so that traffic goes elsewhere."""
    parts = {name: check() for name, check in _checks().items()}
    ready = all(state == OK for state in parts.values())
    return JsonResponse({"ready": ready, **parts, **_helpers()}, status=200 if ready else 503)


def _checks() -> dict[str, Callable[[], str]]:
    checks: dict[str, Callable[[], str]] = {"database": lambda: _database("default"), "journal": _journal}
    if settings.METER_DATABASE != "default":
        checks["meter_database"] = lambda: _database(settings.METER_DATABASE)
    if settings.METER_MONGODB_URL:
        checks["meter_database"] = _mongodb
    return checks


def _helpers() -> dict[str, str]:
    """Return what requests are served without as well. Sent elsewhere, they'd miss the same Redis."""
    if not settings.REDIS_URL:
        return {}
    redis_state, gateway = _redis(), running.here()
    away = redis_state != OK or (gateway is not None and gateway.limits_away())
    return {"redis": redis_state, "limits": LOCAL_LIMITS if away else OK}


def _database(alias: str) -> str:
    connection = connections[alias]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        connection.close()
        return f"can't be reached: {type(error).__name__}"
    return OK


def _mongodb() -> str:
    from metering.store import mongo_client

    try:
        mongo_client.ping(settings.METER_MONGODB_URL)
    except StoreUnavailable as error:
        return f"can't be reached: {error}"
    return OK


def _journal() -> str:
    """Write where records are written: permissions alone don't tell of a full or read-only disk."""
    try:
        settings.JOURNAL_DIR.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.JOURNAL_DIR) as file:
            file.write(b"\n")
            file.flush()
            os.fdatasync(file.fileno())
    except OSError as error:
        return f"can't be written: {type(error).__name__}"
    return OK


def _redis() -> str:
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
    try:
        client.ping()
    except redis.RedisError as error:
        return f"can't be reached: {type(error).__name__}"
    finally:
        client.close()
    return OK
