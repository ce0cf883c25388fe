"""Error reports to Sentry, where SENTRY_DSN is set: what broke and where, and nothing that anybody sent."""

from typing import Any, Final

import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.logging import LoggingIntegration

# What is left of an event. Not `request`, `user`, `extra`, `breadcrumbs`: they hold addresses, forms, headers.
KEPT: Final = frozenset(
    {
        *("event_id", "timestamp", "platform", "level", "logger", "environment", "release", "server_name", "sdk"),
        *("exception", "transaction", "tags", "modules", "type"),
    }
)
KEPT_OF_CONTEXTS: Final = frozenset({"runtime", "trace"})


def start(dsn: str) -> None:
    """Report errors to ``dsn``."""
    sentry_sdk.init(
        dsn=dsn,
        # Named one by one: those that switch themselves on read the prompts out of the providers' SDKs.
        auto_enabling_integrations=False,
        default_integrations=True,
        integrations=[DjangoIntegration(), CeleryIntegration(), LoggingIntegration()],
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        before_send=scrubbed,
    )


def scrubbed(event: Any, _hint: Any = None) -> Any:
    """Return what may leave the house of an event: kinds of errors and places in the code, not their words.

    An error's message may quote what it couldn't deal with.
    """
    kept = {name: value for name, value in event.items() if name in KEPT}
    kept["contexts"] = {name: value for name, value in event.get("contexts", {}).items() if name in KEPT_OF_CONTEXTS}
    for error in (event.get("exception") or {}).get("values") or []:
        error.pop("value", None)
        for frame in (error.get("stacktrace") or {}).get("frames") or []:
            frame.pop("vars", None)
    if "logentry" in event:
        # The name of what happened is ours ("gateway_failed"); what it happened to isn't told.
        kept["logentry"] = {"message": _event_name(event["logentry"])}
    return kept


def _event_name(entry: Any) -> str:
    message = entry.get("message") or ""
    return message if message.isidentifier() else "log"
