"""A ceiling holds whoever counts: four processes on one Redis, two hundred requests at once, and room for seven."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from tests.backends import Redis
from tests.echo import EchoServer
from tests.process import GatewayProcess, running_gateway

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("process")]

STARTER = 2_000_000  # tokens a month
ROOM = 7_500
WORDS = 985  # of an answer; with the question, a request takes about 1,000 tokens
# A key of ours at the tier's first provider, no limit a minute, and a month of which all but the room is used.
ARRANGED = """
import sys
from django.utils import timezone
from agents import pacing
from agents.models import Agent
from llm.models import PoolKey
from tests.metering.records import record, store
for provider in ("minimax", "mistral"):
    key = PoolKey(provider=provider, name="ours")
    key.seal("sk-pool-0123456789")
    key.save()
agent = Agent.objects.get()
pacing.allow_pace(agent=agent, requests=0, tokens=0, by="staff")
store(record(agent, at=timezone.now(), mode="managed", tier="economy", tokens_input=USED, tokens_output=0))
"""


def elenas(gateway: GatewayProcess) -> str:
    """Make Elena's agent on Starter, with nothing allowed beyond it; return its token."""
    asked = {"name": "Elena's mail", "mode": "managed", "tier": "economy", "overage_ceiling": "0"}
    agent = gateway.manage("POST", "agents/", asked)["id"]
    gateway.run("shell", "-c", ARRANGED.replace("USED", str(STARTER - ROOM)))
    token: str = gateway.manage("POST", f"agents/{agent}/tokens/", {})["token"]
    return token


async def at_once(url: str, token: str, count: int) -> list[int]:
    """Ask ``count`` times at once, each on a connection of its own; return the statuses."""
    body = {"messages": [{"role": "user", "content": f"[[words={WORDS}]] [[delay=1]]"}], "max_tokens": 1_000}
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}

    async def ask(session: aiohttp.ClientSession) -> int:
        async with session.post(f"{url}/chat/completions", data=json.dumps(body)) as answer:
            await answer.read()
            return answer.status

    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        return await asyncio.gather(*(ask(session) for _ in range(count)))


def test_two_hundred_at_once_against_room_for_seven(echo: EchoServer, tmp_path: Path):
    redis = Redis()
    try:
        with running_gateway(echo, tmp_path, WORKERS="4", REDIS_URL=redis.url) as gateway:
            token = elenas(gateway)
            statuses = asyncio.run(at_once(gateway.url, token, 200))
            assert (statuses.count(200), statuses.count(402)) == (7, 193)
            answered = [record for record in gateway.records(count=8) if record.status == "ok"]
            used = sum(record.tokens_input + record.tokens_output for record in answered)
            assert len(answered) == 8
            assert STARTER - ROOM + 7 * 980 < used <= STARTER
    finally:
        redis.stop()
