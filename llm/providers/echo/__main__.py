"""Runs the echo provider on its own: ``python -m llm.providers.echo --port 0`` prints the port that it got."""

import argparse
import asyncio
import json
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llm.providers.echo.app import Echo
from llm.providers.echo.exchange import HANG_UP


class Protocol(HttpToolsProtocol):
    """Lets the application close the connection without a word, which ASGI itself has no way to do."""

    def on_message_begin(self) -> None:
        """Offer it with each request."""
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["extensions"] = {HANG_UP: self.transport.close}


def main() -> None:
    """Listen until the process is stopped; print ``{"port": …}`` as soon as connections are taken."""
    parser = argparse.ArgumentParser(prog="python -m llm.providers.echo", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes any free one")
    parser.add_argument("--no-record", action="store_true", help="keep nothing of the requests: faster, for load")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port), backlog=2048)
    # asyncio only sees to it for sockets that name their protocol, which this one doesn't: an answer's head and body
    # would go out 40 ms apart on a connection that is kept.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)  # noqa: T201 - this is its output
    config = uvicorn.Config(
        Echo(record=not options.no_record),
        http=Protocol,
        lifespan="off",
        ws="none",
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
