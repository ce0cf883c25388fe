"""Two of three providers at a time go up and down at random under steady traffic: how many requests are answered.

    python -m benchmarks.chaos [--seconds 120] [--rate 50] [--seed 1]

One real gateway process, Postgres, and the echo provider playing MiniMax, Mistral and Groq, two keys each. A provider
that is down answers 429, 500 or 529, hangs, or cuts before its first byte. Printed are the share of requests that were
answered whole, the times (ms) of those, and how many ways each took.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import tests.backends  # noqa: E402, F401  sets the environment up: Postgres, keys
from tests.echo import EchoServer  # noqa: E402
from tests.process import GatewayProcess, running_gateway  # noqa: E402

PROVIDERS = ("minimax", "mistral", "groq")
TROUBLES = ("status=500", "status=529", "status=429; retry_after=1", "delay=30", "cut=0")
ARRANGED = """
from agents import pacing
from agents.models import Agent
from llm.models import PoolKey, Route
for provider in ("minimax", "mistral", "groq"):
    for name in ("one", "two"):
        # A provider that hangs holds a place for each request of half a minute, and one workspace has half of them.
        key = PoolKey(provider=provider, name=name, places=4_000)
        key.seal("sk-pool-0123456789")
        key.save()
last = Route.objects.filter(tier="economy").order_by("position").last()
Route.objects.create(tier="economy", position=last.position + 1, provider="groq", model="llama-3.3-70b-versatile")
pacing.allow_pace(agent=Agent.objects.get(), requests=0, tokens=0, by="benchmark")
"""


def arranged(gateway: GatewayProcess) -> str:
    """Make an agent on Starter with three providers behind it; return its token."""
    agent = gateway.manage("POST", "agents/", {"name": "Elena's mail", "mode": "managed", "tier": "economy"})["id"]
    gateway.run("shell", "-c", ARRANGED)
    token: str = gateway.manage("POST", f"agents/{agent}/tokens/", {})["token"]
    return token


async def weather(echo: EchoServer, chance: random.Random) -> None:
    """Change which two are down, and how, every one to five seconds, until cancelled."""
    while True:
        await asyncio.to_thread(echo.clear)
        for provider in chance.sample(PROVIDERS, 2):
            await asyncio.to_thread(echo.script, chance.choice(TROUBLES), provider=provider)
        await asyncio.sleep(chance.uniform(1, 5))


async def storm(url: str, token: str, echo: EchoServer, *, seconds: int, rate: int, seed: int) -> list[tuple]:
    """Ask ``rate`` times a second; return (status, ms, attempts) of each."""
    body = json.dumps({"messages": [{"role": "user", "content": "Is there walnut bread on Saturdays?"}]})
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    seen: list[tuple] = []

    async def ask(session: aiohttp.ClientSession) -> None:
        began = time.perf_counter()
        try:
            async with session.post(f"{url}/chat/completions", data=body) as answer:
                await answer.json()
                status, attempts = answer.status, answer.headers.get("x-vutler-attempts", "-")
        except (aiohttp.ClientError, ValueError) as error:
            status, attempts = type(error).__name__, "-"
        seen.append((status, (time.perf_counter() - began) * 1000, attempts))

    changing = asyncio.create_task(weather(echo, random.Random(seed)))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session, asyncio.TaskGroup() as together:
        start = time.perf_counter()
        for number in range(seconds * rate):
            await asyncio.sleep(max(start + number / rate - time.perf_counter(), 0))
            together.create_task(ask(session))
    changing.cancel()
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    echo = EchoServer()
    try:
        with running_gateway(echo, Path(tempfile.mkdtemp(prefix="vutler-chaos-"))) as gateway:
            token = arranged(gateway)
            seen = asyncio.run(
                storm(gateway.url, token, echo, seconds=options.seconds, rate=options.rate, seed=options.seed)
            )
    finally:
        echo.stop()
    whole = sorted(took for status, took, _attempts in seen if status == 200)
    print(f"requests            {len(seen):,}")
    print(f"answered            {len(whole) / len(seen):.2%}")
    print(f"otherwise           {dict(Counter(status for status, *_rest in seen if status != 200))}")
    print(f"p50, p99, max ms    {statistics.median(whole):.0f}, {whole[int(len(whole) * 0.99)]:.0f}, {whole[-1]:.0f}")
    print(f"ways each took      {dict(sorted(Counter(attempts for *_rest, attempts in seen).items()))}")


if __name__ == "__main__":
    main()
