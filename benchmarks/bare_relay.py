"""The yardstick: a relay that does nothing but relay, on the gateway's own server and client.

No auth, no parsing, no metering. It is written as fast as we know how, or a ratio to it would mean nothing.
``UPSTREAM`` is the provider's base URL.
"""

import os
from typing import Any

from llm.client import Upstream
from llm.providers.base import Outgoing

URL = os.environ["UPSTREAM"] + "/chat/completions"
HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-benchmark"}
JSON_HEADERS = [(b"content-type", b"application/json")]
STREAM_HEADERS = [(b"content-type", b"text/event-stream")]

client = Upstream(allow_private=True)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Relay one request."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    answer = await client.send(Outgoing(url=URL, headers=HEADERS, body=body), provider="openai")
    if not answer.is_event_stream:
        data = await answer.body()
        answer.close()
        head = [*JSON_HEADERS, (b"content-length", b"%d" % len(data))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": data})
        return
    await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
    while chunk := await answer.read():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    answer.close()
    await send({"type": "http.response.body", "body": b""})
