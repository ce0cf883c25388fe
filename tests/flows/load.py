"""Many callers at once, who note which of their answers arrived whole."""

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.process import RunningAgent

RECONNECT_AFTER = 0.05


@dataclass
class Load:
    """What the callers saw: ids of whole answers, how many requests broke off, and refusals in words."""

    whole: list[str] = field(default_factory=list)
    broken: int = 0
    refused: list[str] = field(default_factory=list)


async def run(
    url: str,
    agent: RunningAgent,
    *,
    callers: int = 32,
    until: Callable[[Load], bool],
    meanwhile: Callable[[Load], Coroutine[Any, Any, None]],
) -> Load:
    """Let ``callers`` ask, half of it streamed, until ``until`` is true of what they saw; do ``meanwhile`` beside."""
    load = Load()
    numbers = itertools.count()

    async def caller(session: aiohttp.ClientSession) -> None:
        while not until(load):
            number = next(numbers)
            body = {
                "model": agent.model,
                "stream": number % 2 == 1,
                "messages": [{"role": "user", "content": f"request number {number}"}],
            }
            try:
                await _ask(session, url, body, load, expected=f"You said: request number {number}")
            except aiohttp.ClientError:
                load.broken += 1
                await asyncio.sleep(RECONNECT_AFTER)

    headers = {"authorization": f"Bearer {agent.token}"}
    async with (
        aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.TaskGroup() as together,
    ):
        for _ in range(callers):
            together.create_task(caller(session))
        together.create_task(meanwhile(load))
    return load


async def _ask(session: aiohttp.ClientSession, url: str, body: dict[str, Any], load: Load, *, expected: str) -> None:
    async with session.post(f"{url}/chat/completions", json=body) as answer:
        text = (await answer.read()).decode()
        if answer.status != 200:
            load.refused.append(f"{answer.status} {text}")
            await asyncio.sleep(RECONNECT_AFTER)
            return
        if body["stream"]:
            assert text.endswith("data: [DONE]\n\n"), text
            events = [json.loads(line[6:]) for line in text.split("\n\n")[:-2]]
            said = "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
        else:
            said = json.loads(text)["choices"][0]["message"]["content"]
        assert said == expected
        load.whole.append(answer.headers["x-request-id"])
