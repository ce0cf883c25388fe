"""A thousand streams at once through one gateway process, half of them cut by their callers at random points.

    python -m benchmarks.streams [--streams 1000] [--seconds 60]

Each stream gets five tokens a second. Printed are errors, the gateway's memory over time and per stream, its CPU, how
many records there are for how many requests, and how soon the provider noticed that a caller had left.
"""

import argparse
import asyncio
import base64
import os
import random
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.backends import Postgres
from tests.echo import EchoServer
from tests.process import GatewayProcess, RunningAgent

TOKENS_A_SECOND = 5


@dataclass
class Seen:
    whole: list[str] = field(default_factory=list)
    cut: dict[str, float] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    chunks: int = 0


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def stream(session: aiohttp.ClientSession, ask: dict[str, str], seen: Seen, *, leave_after: float | None) -> None:
    body = {"model": ask["model"], "stream": True, "messages": [{"role": "user", "content": ask["text"]}]}
    try:
        async with session.post(ask["url"], json=body) as answer:
            request_id = answer.headers["x-request-id"]
            leave_at = time.monotonic() + leave_after if leave_after is not None else float("inf")
            tail = b""
            async for chunk in answer.content.iter_any():
                seen.chunks += 1
                tail = (tail + chunk)[-32:]
                if time.monotonic() > leave_at:
                    seen.cut[request_id] = time.time()
                    answer.close()
                    return
            if tail.endswith(b"data: [DONE]\n\n"):
                seen.whole.append(request_id)
            else:
                seen.errors.append(f"ended with {tail!r}")
    except (aiohttp.ClientError, TimeoutError) as error:
        seen.errors.append(repr(error))


async def run(
    gateway: GatewayProcess, agent: RunningAgent, *, streams: int, seconds: float
) -> tuple[Seen, list[float]]:
    seen, memory = Seen(), []
    chance = random.Random(1)
    text = f"[[words={int(seconds * TOKENS_A_SECOND)}]] [[chunk_delay={1 / TOKENS_A_SECOND}]] go"
    ask = {"url": f"{gateway.url}/chat/completions", "model": agent.model, "text": text}
    async with aiohttp.ClientSession(
        headers={"authorization": f"Bearer {agent.token}"},
        timeout=aiohttp.ClientTimeout(total=None, sock_read=120),
        connector=aiohttp.TCPConnector(limit=0),
    ) as session:
        cuts = [chance.uniform(1, seconds * 0.9) if n % 2 else None for n in range(streams)]
        tasks = [asyncio.create_task(stream(session, ask, seen, leave_after=cut)) for cut in cuts]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(min(5.0, seconds / 10))
            memory.append(resident_mb(gateway.pid))
        await asyncio.gather(*tasks)
    return seen, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()

    directory = Path(tempfile.mkdtemp(prefix="vutler-streams-"))
    os.environ.update(
        SECRET_KEY="bench", FIELD_ENCRYPTION_KEYS=base64.urlsafe_b64encode(os.urandom(32)).decode(), HTTPS="false"
    )
    postgres, echo = Postgres(durable=True), EchoServer()
    gateway = GatewayProcess(echo, database=postgres.url, var_dir=directory)
    gateway.start()
    try:
        agent = gateway.agent("openai")
        idle, cpu = resident_mb(gateway.pid), cpu_seconds(gateway.pid)
        seen, memory = asyncio.run(run(gateway, agent, streams=options.streams, seconds=options.seconds))
        cpu = cpu_seconds(gateway.pid) - cpu
        records = gateway.records(agent, count=options.streams)
        report(options, echo, seen, memory, records, idle=idle, cpu=cpu)
    finally:
        gateway.terminate()
        echo.stop()
        postgres.remove()
        shutil.rmtree(directory, ignore_errors=True)


def report(
    options: argparse.Namespace,
    echo: EchoServer,
    seen: Seen,
    memory: list[float],
    records: list[Any],
    *,
    idle: float,
    cpu: float,
) -> None:
    statuses = {str(record.id): record.status for record in records}
    wrong = [each for each in seen.whole if statuses.get(each) != "ok"]
    wrong += [each for each in seen.cut if statuses.get(each) != "client_closed"]
    ended = sorted(received.ended for received in echo.requests() if received.outcome == "client_gone")
    # Both in order of time: with hundreds of cuts the n-th to leave is the n-th whose connection ended.
    delays = [max(after - before, 0) * 1000 for before, after in zip(sorted(seen.cut.values()), ended, strict=True)]
    print(f"{options.streams} streams: {len(seen.whole)} whole, {len(seen.cut)} cut, {len(seen.errors)} errors")
    print("".join(f"  {error}\n" for error in seen.errors[:3]), end="")
    print(f"relayed {seen.chunks:,} chunks in {cpu:.1f} s of CPU, {cpu / seen.chunks * 1e6:.0f} µs each")
    print(f"memory: idle {idle:.0f} MB, while streaming {', '.join(f'{each:.0f}' for each in memory)} MB")
    print(f"        at most {(max(memory) - idle) / options.streams * 1024:.0f} KiB a stream")
    print(f"records: {len(records)}, ids unique {len(statuses) == len(records)}, missing or wrong {len(wrong)}")
    print(f"providers told of a cut after {statistics.median(delays):.0f} ms (median), {max(delays):.0f} ms (worst)")


if __name__ == "__main__":
    main()
