"""LangChain's ChatOpenAI. How it is called and what it prints: ``tests/compat/ran.py``."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import openai
from langchain_core.messages import AIMessage, BaseMessage, BaseMessageChunk, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

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

    def llm(self, **options: Any) -> ChatOpenAI:
        hooks: dict[str, list[Any]] = {"request": [self._begin], "response": [self._note]}
        client = openai.DefaultHttpxClient(event_hooks=hooks)
        options = {"api_key": TOKEN, "stream_usage": True, **options}
        return ChatOpenAI(base_url=BASE_URL, model=MODEL, http_client=client, **options)

    def _begin(self, _request: Any) -> None:
        self._began.append(time.monotonic() * 1000)

    def _note(self, response: Any) -> None:
        seen = {"id": response.headers["x-request-id"], "status": response.status_code, "at": self._began[-1]}
        self.requests.append(seen)


def answer(case: Case) -> dict[str, Any]:
    message = case.llm().invoke(ASKED["hello"])
    used = message.usage_metadata
    return {"text": message.content, "usage": [used["input_tokens"], used["output_tokens"]]}


def stream(case: Case) -> dict[str, Any]:
    return {"text": whole(case.llm().stream(ASKED["hello"])).content}


def tool_loop(case: Case) -> dict[str, Any]:
    return loop(case.llm(), ASKED["both"], [get_weather, get_time], lambda llm, messages: llm.invoke(messages))


def streamed_tool_loop(case: Case) -> dict[str, Any]:
    return loop(case.llm(), ASKED["weather"], [get_weather], lambda llm, messages: whole(llm.stream(messages)))


def image(case: Case) -> dict[str, Any]:
    return {"text": case.llm().invoke(ASKED["image"]).content}


def schema(case: Case) -> dict[str, Any]:
    value = case.llm().with_structured_output(Weather).invoke("Paris, please")
    return {"value": value.model_dump()}


def rate_limited(case: Case) -> dict[str, Any]:
    return {"text": case.llm(max_retries=1).invoke("[[status=429]] [[retry_after=3]]").content}


def bad_request(case: Case) -> dict[str, Any]:
    return {"text": case.llm().invoke("[[status=400]]").content}


def bad_token(case: Case) -> dict[str, Any]:
    return {"text": case.llm(api_key="vtl_agent_mistyped").invoke("Hello").content}


def loop(llm: ChatOpenAI, asked: list[Any], tools: list[Callable[..., str]], ask: Callable[..., Any]) -> dict[str, Any]:
    able = llm.bind_tools(tools)
    called: AIMessage = ask(able, asked)
    by_name = {one.__name__: one for one in tools}
    results: list[BaseMessage] = [
        ToolMessage(by_name[call["name"]](**call["args"]), tool_call_id=call["id"]) for call in called.tool_calls
    ]
    calls = [[call["name"], call["args"]] for call in called.tool_calls]
    return {"calls": calls, "text": ask(able, [*asked, called, *results]).content}


def whole(chunks: Any) -> BaseMessageChunk:
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    return first


def run(ask: Callable[[Case], dict[str, Any]]) -> dict[str, Any]:
    case = Case()
    try:
        found = ask(case)
    except openai.APIError as error:
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
json.dump({name: run(ask) for name, ask in CASES.items()}, sys.stdout)
