"""An experiment divides sessions between its sides, and none ever changes sides: whoever answers, whatever dies."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.echo import EchoServer
from tests.process import GatewayProcess, RunningAgent, fresh_database

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("process")]

SESSIONS = [f"maya-{number}" for number in range(60)]


@asynccontextmanager
async def two_servers(echo: EchoServer, directory: Path) -> AsyncIterator[tuple[GatewayProcess, GatewayProcess]]:
    """Serve one database from two places, as two machines would."""
    with fresh_database() as database:
        first, second = (GatewayProcess(echo, database=database, var_dir=directory / name) for name in ("one", "two"))
        first.var_dir.mkdir()
        second.var_dir.mkdir()
        try:
            await start(first, second)
            yield first, second
        finally:
            first.terminate()
            second.terminate()


async def start(*servers: GatewayProcess) -> None:
    await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))


async def ask(servers: Iterable[GatewayProcess], agent: RunningAgent, sessions: list[str]) -> list[tuple[str, str]]:
    """Ask each server something in each session, all at once; return which request was which session's."""
    headers = {"authorization": f"Bearer {agent.token}"}
    body = {"messages": [{"role": "user", "content": "Do you open on Sundays?"}]}

    async def once(http: aiohttp.ClientSession, server: GatewayProcess, session: str) -> tuple[str, str]:
        url = f"{server.url}/chat/completions"
        async with http.post(url, json=body, headers={"x-vutler-session": session}) as answer:
            assert answer.status == 200, await answer.text()
            return answer.headers["x-request-id"], session

    async with aiohttp.ClientSession(headers=headers) as http:
        return await asyncio.gather(*(once(http, server, session) for server in servers for session in sessions))


async def test_sixty_sessions_stay_on_their_sides_through_two_servers_a_crash_and_a_restart(echo, tmp_path):
    async with two_servers(echo, tmp_path) as (first, second):
        agent = first.agent("openai")
        arms = [{"name": "today"}, {"name": "other", "model": "gpt-4o"}]
        begun = first.manage("POST", "experiments/", {"agent": agent.id, "arms": arms})
        today, other = (arm["id"] for arm in begun["arms"])

        asked = await ask([first], agent, SESSIONS[:30]) + await ask([second], agent, SESSIONS[30:])
        first.kill()
        second.terminate()
        await start(first, second)
        asked += await ask([first, second], agent, SESSIONS)

        records = {str(record.id): record for record in first.records(agent, count=180)}
        sides = defaultdict(set)
        for request, session in asked:
            sides[session].add((records[request].experiment_arm, records[request].session, records[request].model))
        assert (len(asked), len(records), len(sides)) == (180, 180, 60)
        assert {len(seen) for seen in sides.values()} == {1}
        placed = Counter((arm, model) for seen in sides.values() for arm, _session, model in seen)
        assert set(placed) == {(today, "gpt-4o-mini"), (other, "gpt-4o")}
