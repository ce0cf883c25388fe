"""A customer's key is refused while two processes answer for it: its owner has one e-mail, and a success ends it."""

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.echo import EchoServer
from tests.process import PATIENCE, GatewayProcess, RunningAgent, running_gateway

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("process")]


async def ask(gateway: GatewayProcess, agent: RunningAgent, *, times: int) -> list[int]:
    body = {"model": agent.model, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {agent.token}"}

    # Each on a connection of its own, so that both processes get some.
    async def once() -> int:
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{gateway.url}/chat/completions", json=body) as answer,
        ):
            return answer.status

    return await asyncio.gather(*(once() for _ in range(times)))


def the_key(gateway: GatewayProcess, *, trouble: str) -> Any:
    """Return the one saved key once that is its trouble."""
    deadline = time.monotonic() + PATIENCE
    while True:
        [key] = gateway.manage("GET", "keys/")["results"]
        if key["trouble"] == trouble:
            return key
        assert time.monotonic() < deadline, f"{key}\n{gateway.log()}"
        time.sleep(0.05)


async def test_two_processes_find_a_key_refused_and_its_owner_has_one_email(echo: EchoServer, tmp_path: Path):
    mails = tmp_path / "mails"
    with running_gateway(echo, tmp_path, WORKERS="2", EMAIL_URL=f"filemail:///{mails}") as gateway:
        agent = gateway.agent("openai")
        echo.script("error=no_credit", provider="openai")
        assert set(await ask(gateway, agent, times=60)) == {429}
        key = the_key(gateway, trouble="no_credit")
        assert key["trouble_detail"].endswith("it has no credit left.")

        echo.clear()
        # A process that hasn't heard of the trouble yet can't end it. Within five seconds, both have.
        deadline = time.monotonic() + PATIENCE
        while key["trouble"]:
            assert time.monotonic() < deadline, f"{key}\n{gateway.log()}"
            assert set(await ask(gateway, agent, times=20)) == {200}
            [key] = gateway.manage("GET", "keys/")["results"]
        assert key["trouble_since"] is None
        gateway.terminate()  # what was to be sent is sent before it ends

        [mail] = [path.read_text() for path in mails.iterdir()]
        assert mail.count("\nSubject: ") == 1
        assert mail.count("\nTo: alex@alex.example") == 1
