"""OpenAI's SDK for Python in an event loop."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from openai import AsyncOpenAI

from tests.compat.questions import BOTH_QUESTION, GREETED, HELLO, TIME, WEATHER


@pytest_asyncio.fixture
async def client(gateway_process, agent) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=gateway_process.url, api_key=agent.token) as client:
        yield client


async def test_many_answers_at_once(client, agent, meter):
    asked = [client.chat.completions.create(model=agent.model, messages=HELLO) for _ in range(8)]
    answers = await asyncio.gather(*asked)
    assert {answer.choices[0].message.content for answer in answers} == {GREETED}
    records = meter.records()
    assert sorted(str(record.id) for record in records) == sorted(answer._request_id for answer in answers)
    assert {(record.status, record.tokens_input, record.tokens_output) for record in records} == {("ok", 4, 4)}


async def test_a_stream(client, agent, meter):
    said = ""
    async with await client.chat.completions.create(model=agent.model, messages=HELLO, stream=True) as stream:
        async for chunk in stream:
            said += chunk.choices[0].delta.content or ""
    assert said == GREETED
    meter.counted(4, 4, streamed=True)


async def test_streamed_tool_calls(client, agent, meter):
    async with client.chat.completions.stream(
        model=agent.model, messages=BOTH_QUESTION, tools=[WEATHER, TIME]
    ) as stream:
        answer = await stream.get_final_completion()
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    meter.counted(24, 8, streamed=True)
