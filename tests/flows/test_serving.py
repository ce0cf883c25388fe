"""`make serve` stops as its operator wants: nobody's answer is cut short."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.echo import EchoServer
from tests.process import running_gateway

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("process")]


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_stream_under_way_ends_whole_before_the_server_stops(echo: EchoServer, tmp_path: Any, workers: str):
    with running_gateway(echo, tmp_path, WORKERS=workers) as gateway:
        agent = gateway.agent("openai")
        body = {
            "model": agent.model,
            "stream": True,
            "messages": [{"role": "user", "content": "one two three four five six [[chunk_delay=0.2]]"}],
        }
        async with (
            aiohttp.ClientSession(headers={"authorization": f"Bearer {agent.token}"}) as session,
            session.post(f"{gateway.url}/chat/completions", json=body) as answer,
        ):
            await answer.content.readuntil(b"\n\n")
            stopped = asyncio.create_task(asyncio.to_thread(gateway.terminate))
            text = (await answer.read()).decode()
        await stopped

        assert text.endswith("data: [DONE]\n\n")
        [record] = gateway.records(agent)
        assert (record.status, record.provenance) == ("ok", "reported")
