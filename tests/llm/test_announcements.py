"""A change in one process reaches the others."""

import asyncio
import os

import pytest

from agents.changes import agents_changed
from agents.models import Agent
from llm.announcements import Announcements
from tests.backends import Redis


class Memory:
    """Stands for a process's snapshots, and lets a test wait for what it's told."""

    def __init__(self) -> None:
        self.forgotten: asyncio.Queue[list[str]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def forget(self, agent_ids) -> None:
        self._loop.call_soon_threadsafe(self.forgotten.put_nowait, list(agent_ids))


async def said(announce, memory: Memory) -> list[str]:
    """Announce until it's heard: listening begins a moment after it is asked for."""
    while True:
        await asyncio.to_thread(announce)
        try:
            return await asyncio.wait_for(memory.forgotten.get(), 0.2)
        except TimeoutError:
            continue


def change() -> None:
    agents_changed.send(sender=Agent, agent_ids=["support-bot"])


async def test_the_process_that_made_the_change_forgets_at_once():
    memory = Memory()
    here = Announcements(url="", forget=memory.forget)
    change()
    assert await memory.forgotten.get() == ["support-bot"]
    await here.stop()


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:1/0"])
async def test_without_redis_the_change_itself_goes_through(url):
    memory = Memory()
    here = Announcements(url=url, forget=memory.forget)
    here.start()
    await asyncio.to_thread(change)
    assert await memory.forgotten.get() == ["support-bot"]
    await here.stop()


async def test_another_process_hears_of_it_through_redis():
    memory = Memory()
    there = Announcements(url=os.environ["TEST_REDIS_URL"], forget=memory.forget)
    # What this process changes it knows by itself; the other one has only Redis.
    agents_changed.disconnect(there._changed_here)
    there.start()
    here = Announcements(url=os.environ["TEST_REDIS_URL"], forget=lambda _ids: None)
    assert await said(change, memory) == ["support-bot"]
    await here.stop()
    await there.stop()


async def test_listening_goes_on_after_redis_was_away(monkeypatch):
    monkeypatch.setattr("llm.announcements.RETRY_AFTER", 0.02)
    server = Redis()
    memory = Memory()
    there = Announcements(url=server.url, forget=memory.forget)
    agents_changed.disconnect(there._changed_here)
    there.start()
    here = Announcements(url=server.url, forget=lambda _ids: None)
    assert await said(change, memory) == ["support-bot"]
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    assert await said(change, memory) == ["support-bot"]
    await here.stop()
    await there.stop()
