"""What a webhook is sent, byte for byte, and how it is signed. Plain Python.

The signature is that of the Standard Webhooks specification, which there are libraries for: HMAC-SHA256 over the id,
the time and the body. A repeat has the same id and a time of its own.
"""

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any, Final

from metering.alerts import Facts

OURS: Final = "vutler"
SLACK: Final = "slack"
DISCORD: Final = "discord"
SECRET_PREFIX: Final = "whsec_"  # noqa: S105
SECRET_BYTES: Final = 32
DISCORD_AT_MOST: Final = 2000  # characters


def new_secret() -> str:
    """Return a secret to sign with: ``whsec_`` and 32 random bytes in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(*, delivery_id: str, timestamp: int, body: bytes, secret: str) -> dict[str, str]:
    """Return the headers that say which delivery this is, when it was sent (Unix time), and that we sent it."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "user-agent": "Vutler-Alerts/1",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def body(*, shape: str, facts: Facts, text: str, url: str, about: dict[str, Any]) -> bytes:
    """Return what is sent, as the receiver takes it. ``text`` is for people, ``url`` leads to the alert's page.

    ``about`` names what ours carries besides: the workspace, the alert, the period, the moment.
    """
    if shape == SLACK:
        content: dict[str, Any] = {"text": f"{_slack(text)}\n<{url}>"}
    elif shape == DISCORD:
        # An agent may be called @everyone: nobody is to be called by that.
        line = f"{text[: DISCORD_AT_MOST - len(url) - 1]}\n{url}"
        content = {"content": line, "allowed_mentions": {"parse": []}}
    else:
        content = {
            "type": "alert.test" if facts.test else "alert.reached",
            "test": facts.test,
            **about,
            "metric": facts.metric,
            "unit": facts.unit,
            "threshold": f"{facts.threshold.normalize():f}",
            "value": f"{facts.value.normalize():f}",
            "agent": {"id": str(facts.agent_id), "name": facts.agent_name} if facts.agent_id else None,
            "text": text,
            "url": url,
        }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _slack(text: str) -> str:
    # Slack's control sequences are in angle brackets: an agent called <!channel> is only a name.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
