"""The echo provider as a process of its own, playing every provider on one port of loopback.

def test_alex_is_answered(echo):
    base_url = echo.url("groq")                    # …/groq/openai/v1, as Groq's own SDK takes it
    echo.script("status=429; retry_after=1", provider="groq", times=1)
    ...
    [received] = echo.requests()                   # waits until all that came has ended
    assert received.json()["model"] == "llama-3.3-70b-versatile"
    assert received.outcome == "answered"
"""

import asyncio
import base64
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

PATHS = {
    "openai": "/openai/v1",
    "anthropic": "/anthropic",
    "minimax": "/minimax/v1",
    "groq": "/groq/openai/v1",
    "mistral": "/mistral/v1",
    "openrouter": "/openrouter/api/v1",
    "custom": "/custom/v1",
    "echo": "/echo/v1",
}


@dataclass(frozen=True)
class Received:
    """A request that echo got. ``outcome``: ``answered``, ``cut``, ``client_gone`` or still ``open``."""

    method: str
    path: str
    provider: str
    headers: dict[str, str]
    body: bytes
    started: float
    ended: float | None
    outcome: str
    status: int | None
    chunks: int

    def json(self) -> Any:
        return json.loads(self.body)


class EchoServer:
    """The running process, and what it can be asked."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "llm.providers.echo", "--port", "0"],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        assert self._process.stdout is not None
        self.port: int = json.loads(self._process.stdout.readline())["port"]

    def url(self, provider: str) -> str:
        """The base URL of a provider, in the form that its own SDK takes."""
        return f"http://127.0.0.1:{self.port}{PATHS[provider]}"

    def environment(self) -> dict[str, str]:
        """``OPENAI_BASE_URL`` and its like, for a process that is to reach every provider here."""
        return {f"{name.upper()}_BASE_URL": self.url(name) for name in PATHS if name != "custom"}

    def script(self, directives: str, *, provider: str | None = None, times: int | None = None) -> None:
        """Treat the next requests like this (see llm.providers.echo.directives), until :meth:`clear`."""
        self._call("POST", "script", body={"directives": directives, "provider": provider, "times": times})

    def requests(self, *, count: int = 0, settled: bool = True, within: float = 10.0) -> list[Received]:
        """What came, oldest first, once ``count`` requests are there and (``settled``) none is being answered."""
        asked = urlencode({"count": count, "settled": settled, "within": within})
        rows = self._call("GET", f"requests?{asked}")
        return [Received(**{**row, "body": base64.b64decode(row["body"])}) for row in rows]

    async def arequests(self, *, count: int = 0, settled: bool = True, within: float = 10.0) -> list[Received]:
        """The same, letting the event loop go on: for tests that have the gateway in it."""
        return await asyncio.to_thread(self.requests, count=count, settled=settled, within=within)

    def clear(self) -> None:
        """Forget the requests and the scripts."""
        self._call("DELETE", "requests")

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate()

    def _call(self, method: str, path: str, *, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, f"/_echo/{path}", body=json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        assert response.status == 200, answer
        return answer


@pytest.fixture(scope="session")
def echo_server() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.stop()


@pytest.fixture
def echo(echo_server: EchoServer) -> Iterator[EchoServer]:
    """The echo provider, remembering nothing of other tests, nor they anything of this one."""
    echo_server.clear()
    yield echo_server
    echo_server.clear()
