"""Sets alerts up for tests, as the form does unless told otherwise."""

from decimal import Decimal
from typing import Any

from agents.crypto import Secret
from metering import alerts
from metering.alerting import services
from metering.models import Alert
from tests.conftest import Person


def wish(threshold: int | str, **fields: Any) -> services.Wish:
    """Return an alert as it may be wished: tokens, of all agents, on the pages alone."""
    rule = {name: fields.pop(name) for name in list(fields) if name in alerts.Rule.__slots__}
    usual: dict[str, Any] = {"by_email": False, "on_page": True, "by_webhook": bool(fields.get("webhook_url"))}
    if "webhook_url" in fields:
        fields["webhook_url"] = Secret(fields["webhook_url"])
    return services.Wish(
        rule=alerts.Rule(**{"metric": "tokens", "unit": "absolute", "threshold": Decimal(threshold), **rule}),
        **{**usual, **fields},
    )


def set_up(person: Person, threshold: int | str, **fields: Any) -> Alert:
    alert, _secret = services.create_alert(workspace=person.workspace, wish=wish(threshold, **fields), by=person.user)
    return alert


def set_up_signed(person: Person, url: str, **fields: Any) -> tuple[Alert, str]:
    """Set an alert up that only tells a webhook; return it with the secret that it signs with."""
    fields = {"on_page": False, "webhook_url": url, **fields}
    alert, secret = services.create_alert(
        workspace=person.workspace, wish=wish(fields.pop("threshold", 1_000), **fields), by=person.user
    )
    assert secret
    return alert, secret.reveal()
