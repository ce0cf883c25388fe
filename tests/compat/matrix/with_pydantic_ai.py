"""Pydantic AI's agents on OpenAI's chat model. How it is called and what it prints: ``tests/compat/ran.py``."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import openai
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ModelResponse, NativeOutput, ToolCallPart
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

BASE_URL, TOKEN, MODEL = sys.argv[1:]
ASKED = json.load(sys.stdin)


def get_weather(city: str) -> str:
    """Of a city."""
    return "Sunny, 21 degrees"


def get_time(city: str) -> str:
    """Of a city."""
    return "Ten past noon"


class Weather(BaseModel):
    """Of a city."""

    city: str
    degrees: int


class Case:
    """One case's client, and its requests."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self._began: list[float] = []

    def model(self, **options: Any) -> OpenAIChatModel:
        hooks: dict[str, list[Any]] = {"request": [self._begin], "response": [self._note]}
        http_client = openai.DefaultAsyncHttpxClient(event_hooks=hooks)
        client = openai.AsyncOpenAI(base_url=BASE_URL, http_client=http_client, **{"api_key": TOKEN, **options})
        return OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))

    async def _begin(self, _request: Any) -> None:
        self._began.append(time.monotonic() * 1000)

    async def _note(self, response: Any) -> None:
        seen = {"id": response.headers["x-request-id"], "status": response.status_code, "at": self._began[-1]}
        self.requests.append(seen)


async def answer(case: Case) -> dict[str, Any]:
    ran = await Agent(case.model(), system_prompt="Be brief.").run("Hello, bakery!")
    used = ran.usage
    return {"text": ran.output, "usage": [used.input_tokens, used.output_tokens]}


async def stream(case: Case) -> dict[str, Any]:
    async with Agent(case.model(), system_prompt="Be brief.").run_stream("Hello, bakery!") as ran:
        return {"text": "".join([part async for part in ran.stream_text(delta=True)])}


async def tool_loop(case: Case) -> dict[str, Any]:
    ran = await Agent(case.model(), tools=[get_weather, get_time]).run(ASKED["both"][0]["content"])
    return {"text": ran.output, "calls": calls(ran.all_messages())}


async def streamed_tool_loop(case: Case) -> dict[str, Any]:
    async with Agent(case.model(), tools=[get_weather]).run_stream(ASKED["weather"][0]["content"]) as ran:
        return {"text": await ran.get_output(), "calls": calls(ran.all_messages())}


async def image(case: Case) -> dict[str, Any]:
    text, picture = ASKED["image"][0]["content"]
    shown = BinaryContent.from_data_uri(picture["image_url"]["url"])
    return {"text": (await Agent(case.model()).run([text["text"], shown])).output}


async def schema(case: Case) -> dict[str, Any]:
    ran = await Agent(case.model(), output_type=NativeOutput(Weather)).run("Paris, please")
    return {"value": ran.output.model_dump()}


async def rate_limited(case: Case) -> dict[str, Any]:
    return {"text": (await Agent(case.model(max_retries=1)).run("[[status=429]] [[retry_after=3]]")).output}


async def bad_request(case: Case) -> dict[str, Any]:
    return {"text": (await Agent(case.model()).run("[[status=400]]")).output}


async def bad_token(case: Case) -> dict[str, Any]:
    return {"text": (await Agent(case.model(api_key="vtl_agent_mistyped")).run("Hello")).output}


def calls(messages: list[Any]) -> list[Any]:
    answers = [message for message in messages if isinstance(message, ModelResponse)]
    parts = [part for answered in answers for part in answered.parts if isinstance(part, ToolCallPart)]
    return [[part.tool_name, part.args_as_dict()] for part in parts]


async def run(ask: Callable[[Case], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    case = Case()
    try:
        found = await ask(case)
    except ModelAPIError as error:
        found = {"raised": type(error).__name__}
    return {**found, "requests": case.requests}


CASES = {
    "answer": answer,
    "stream": stream,
    "toolLoop": tool_loop,
    "streamedToolLoop": streamed_tool_loop,
    "image": image,
    "schema": schema,
    "rateLimited": rate_limited,
    "badRequest": bad_request,
    "badToken": bad_token,
}


async def main() -> None:
    found = await asyncio.gather(*map(run, CASES.values()))
    json.dump(dict(zip(CASES, found, strict=True)), sys.stdout)


asyncio.run(main())
