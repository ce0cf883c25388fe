"""Prometheus asks a server of two processes, whichever answers."""

import asyncio
import os
import re
import signal
import urllib.request

import pytest

from tests.echo import EchoServer
from tests.flows.load import run
from tests.process import GatewayProcess, running_gateway

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("process")]

REQUESTS = 'vutler_requests_total{mode="byokey",provider="openai",status="ok"}'


def scraped(gateway: GatewayProcess) -> dict[str, float]:
    with urllib.request.urlopen(f"{gateway.site}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


async def scraped_until(gateway: GatewayProcess, name: str, value: float) -> list[dict[str, float]]:
    """Scrape until ``name`` is ``value``; return all that was seen."""
    seen = [await asyncio.to_thread(scraped, gateway)]
    while seen[-1].get(name) != value:
        await asyncio.sleep(0.1)
        seen.append(await asyncio.to_thread(scraped, gateway))
    return seen


async def test_the_figures_are_those_of_all_processes_and_never_go_back(echo: EchoServer, tmp_path):
    with running_gateway(echo, tmp_path, WORKERS="2") as gateway:
        agent = gateway.agent("openai")
        seen: list[dict[str, float]] = []

        async def look(_load: object) -> None:
            for _ in range(20):
                seen.append(await asyncio.to_thread(scraped, gateway))
                await asyncio.sleep(0.1)

        load = await run(
            gateway.url, agent, callers=8, until=lambda load: len(load.whole) >= 200 and len(seen) >= 20, meanwhile=look
        )
        asked = float(len(load.whole))
        seen += await scraped_until(gateway, REQUESTS, asked)
        counts = [each.get(REQUESTS, 0.0) for each in seen]
        assert counts == sorted(counts)
        assert seen[-1]["vutler_processes"] == 2
        assert seen[-1]["vutler_requests_in_flight"] == 0

        # One dies; uvicorn starts another. What the dead one counted stays.
        [one, *_others] = (int(re.split(r"-", path.name)[0]) for path in (tmp_path / "metrics").rglob("*.json"))
        os.kill(one, signal.SIGKILL)
        await scraped_until(gateway, "vutler_processes", 1)
        after = await scraped_until(gateway, "vutler_processes", 2)
        assert {each[REQUESTS] for each in after} == {asked}
