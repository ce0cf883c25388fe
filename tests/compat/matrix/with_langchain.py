"""LangChain in the dialect of the first argument: chat, responses, messages. The rest: ``tests/compat/ran.py``."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import anthropic
import httpx2
import openai
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, BaseMessageChunk, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

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


def llm(*, api_key: str = TOKEN, **options: Any) -> BaseChatModel:
    if DIALECT == "messages":
        site = BASE_URL.removesuffix("/v1")
        return ChatAnthropic(base_url=site, model=MODEL, max_tokens=100, api_key=api_key, **options)
    newer = DIALECT == "responses"
    return ChatOpenAI(
        base_url=BASE_URL, model=MODEL, use_responses_api=newer, stream_usage=True, api_key=api_key, **options
    )


def answer() -> dict[str, Any]:
    message = llm().invoke(ASKED["hello"])
    used = message.usage_metadata
    return {"text": message.text, "usage": [used["input_tokens"], used["output_tokens"]]}


def stream() -> dict[str, Any]:
    return {"text": whole(llm().stream(ASKED["hello"])).text}


def tool_loop() -> dict[str, Any]:
    return loop(ASKED["both"], [get_weather, get_time], lambda able, messages: able.invoke(messages))


def streamed_tool_loop() -> dict[str, Any]:
    return loop(ASKED["weather"], [get_weather], lambda able, messages: whole(able.stream(messages)))


def image() -> dict[str, Any]:
    return {"text": llm().invoke(ASKED["image"]).text}


def schema() -> dict[str, Any]:
    value = llm().with_structured_output(Weather, method="json_schema").invoke("Paris, please")
    return {"value": value.model_dump()}


def embeddings() -> dict[str, Any]:
    # Texts as they are: otherwise it sends tokens, of a vocabulary that it downloads.
    embedder = OpenAIEmbeddings(
        base_url=BASE_URL, model="mistral-embed", api_key=TOKEN, check_embedding_ctx_length=False
    )
    return {"lengths": [len(vector) for vector in embedder.embed_documents(ASKED["texts"])]}


def rate_limited() -> dict[str, Any]:
    return {"text": llm(max_retries=1).invoke("[[status=429]] [[retry_after=3]]").text}


def bad_request() -> dict[str, Any]:
    return {"text": llm().invoke("[[status=400]]").text}


def bad_token() -> dict[str, Any]:
    return {"text": llm(api_key="vtl_agent_mistyped").invoke("Hello").text}


def cut() -> dict[str, Any]:
    return {"text": whole(llm().stream("One two three [[cut=3]]")).text}


def loop(asked: list[Any], tools: list[Callable[..., str]], ask: Callable[..., Any]) -> dict[str, Any]:
    able = llm().bind_tools(tools)
    called: AIMessage = ask(able, asked)
    by_name = {one.__name__: one for one in tools}
    results: list[BaseMessage] = [
        ToolMessage(by_name[call["name"]](**call["args"]), tool_call_id=call["id"]) for call in called.tool_calls
    ]
    calls = [[call["name"], call["args"]] for call in called.tool_calls]
    return {"calls": calls, "text": ask(able, [*asked, called, *results]).text}


def whole(chunks: Any) -> BaseMessageChunk:
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    return first


def watch(seen: list[dict[str, Any]]) -> None:
    """Note in ``seen`` what passes: LangChain builds its SDKs' HTTP clients itself, all of this class."""
    send = httpx2.Client.send

    def watched(client: httpx2.Client, request: httpx2.Request, **options: Any) -> httpx2.Response:
        at = time.monotonic() * 1000
        response = send(client, request, **options)
        request_id = response.headers.get("x-request-id") or response.headers["request-id"]
        seen.append({"id": request_id, "status": response.status_code, "at": at})
        return response

    mock.patch.object(httpx2.Client, "send", watched).start()


def run(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    SEEN.clear()
    try:
        found = ask()
    except (openai.APIError, anthropic.APIError, ValueError) as error:  # the last is what becomes of an error event
        found = {"raised": type(error).__name__}
    return {**found, "requests": SEEN.copy()}


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
SEEN: list[dict[str, Any]] = []
watch(SEEN)
json.dump({name: run(ask) for name, ask in CASES.items()}, sys.stdout)
