"""The serving process dies, the database goes away: what was answered is recorded, once."""

import asyncio
from collections import Counter

import pytest

from tests.backends import Postgres
from tests.flows.load import Load, run
from tests.process import GatewayProcess, running_gateway

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("process")]


async def test_kill_9_in_the_middle_of_2000_requests_loses_and_doubles_nothing(echo, tmp_path):
    with running_gateway(echo, tmp_path) as gateway:
        agent = gateway.agent("openai")

        async def kill_twice(load: Load) -> None:
            for point in (600, 1300):
                while len(load.whole) < point:
                    await asyncio.sleep(0.005)
                gateway.kill()
                await asyncio.to_thread(gateway.start)

        load = await run(gateway.url, agent, until=lambda load: len(load.whole) >= 2000, meanwhile=kill_twice)

        recorded = Counter(str(record.id) for record in gateway.records(agent))
        assert load.broken > 0
        assert load.refused == []
        assert [request for request in load.whole if recorded[request] != 1] == []
        assert set(recorded.values()) == {1}
        # Beyond those there are at most the requests that were under way when the process died.
        assert len(recorded) - len(load.whole) <= load.broken


async def test_the_database_is_away_for_30_seconds_under_load_and_nobody_notices(echo, tmp_path):
    echo.script("delay=0.05")  # a provider takes its time, and the agent keeps within its requests a minute
    postgres = Postgres(durable=True)
    gateway = GatewayProcess(echo, database=postgres.url, var_dir=tmp_path)
    gateway.start()
    try:
        agent = gateway.agent("openai")
        back = asyncio.Event()

        async def outage(load: Load) -> None:
            while len(load.whole) < 200:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(postgres.stop)
            at_the_start = len(load.whole)
            await asyncio.sleep(30)
            assert len(load.whole) > at_the_start
            await asyncio.to_thread(postgres.start)
            back.set()

        load = await run(gateway.url, agent, callers=8, until=lambda _load: back.is_set(), meanwhile=outage)

        recorded = Counter(str(record.id) for record in gateway.records(agent))
        assert load.broken == 0
        assert load.refused == []
        assert recorded == Counter(load.whole)
    finally:
        gateway.terminate()
        postgres.remove()
