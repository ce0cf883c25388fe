"""Pydantic AI in the dialect of the first argument: chat, responses, messages. The rest: ``tests/compat/ran.py``."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import openai
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, Embedder, ModelResponse, NativeOutput, ToolCallPart
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

DIALECT, BASE_URL, TOKEN, MODEL = sys.argv[1:]
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

    def model(self, **options: Any) -> Model:
        if DIALECT == "chat":
            return OpenAIChatModel(MODEL, provider=self.openai(**options))
        if DIALECT == "responses":
            return OpenAIResponsesModel(MODEL, provider=self.openai(**options))
        # It doesn't trust models of other makers with a schema, unless told that it can.
        profile = ModelProfile(supports_json_schema_output=True)
        return AnthropicModel(MODEL, provider=self._anthropic(**options), profile=profile, settings={"max_tokens": 100})

    def openai(self, *, api_key: str = TOKEN, **options: Any) -> OpenAIProvider:
        http_client = openai.DefaultAsyncHttpxClient(event_hooks=self._hooks())
        client = openai.AsyncOpenAI(base_url=BASE_URL, http_client=http_client, api_key=api_key, **options)
        return OpenAIProvider(openai_client=client)

    def _anthropic(self, *, api_key: str = TOKEN, **options: Any) -> AnthropicProvider:
        http_client = anthropic.DefaultAsyncHttpxClient(event_hooks=self._hooks())
        site = BASE_URL.removesuffix("/v1")
        client = anthropic.AsyncAnthropic(base_url=site, http_client=http_client, api_key=api_key, **options)
        return AnthropicProvider(anthropic_client=client)

    def _hooks(self) -> dict[str, list[Any]]:
        return {"request": [self._begin], "response": [self._note]}

    async def _begin(self, _request: Any) -> None:
        self._began.append(time.monotonic() * 1000)

    async def _note(self, response: Any) -> None:
        request_id = response.headers.get("x-request-id") or response.headers["request-id"]
        seen = {"id": request_id, "status": response.status_code, "at": self._began[-1]}
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


async def embeddings(case: Case) -> dict[str, Any]:
    embedder = Embedder(OpenAIEmbeddingModel("mistral-embed", provider=case.openai()))
    found = await embedder.embed_documents(ASKED["texts"])
    return {"lengths": [len(vector) for vector in found.embeddings]}


async def rate_limited(case: Case) -> dict[str, Any]:
    return {"text": (await Agent(case.model(max_retries=1)).run("[[status=429]] [[retry_after=3]]")).output}


async def bad_request(case: Case) -> dict[str, Any]:
    return {"text": (await Agent(case.model()).run("[[status=400]]")).output}


async def bad_token(case: Case) -> dict[str, Any]:
    return {"text": (await Agent(case.model(api_key="vtl_agent_mistyped")).run("Hello")).output}


async def cut(case: Case) -> dict[str, Any]:
    async with Agent(case.model()).run_stream("One two three [[cut=3]]") as ran:
        return {"text": await ran.get_output()}


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
    **({} if DIALECT == "messages" else {"embeddings": embeddings}),
    "rateLimited": rate_limited,
    "badRequest": bad_request,
    "badToken": bad_token,
    "cut": cut,
}


async def main() -> None:
    found = await asyncio.gather(*map(run, CASES.values()))
    json.dump(dict(zip(CASES, found, strict=True)), sys.stdout)


asyncio.run(main())
