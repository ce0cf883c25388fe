"""Clients that people build on, against every provider: ``with_*`` ask, here it is checked. `make compat` runs it."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.compat.questions import GREETED, WEATHER_ARGUMENTS, WEATHER_TOLD
from tests.compat.ran import Ran, run
from tests.process import MODELS, ROOT, GatewayProcess

HERE = Path(__file__).parent
PYTHON = str(ROOT / ".venv-compat" / "bin" / "python")
ONE_OF_EACH = ("openai", "anthropic", "mistral")  # speaks responses too; messages alone; chat alone


class Client(NamedTuple):
    """A program, the providers it is tried with, and what it raises when an answer is 429, 400 and 401."""

    program: Sequence[str]
    providers: Iterable[str]
    raises: tuple[str, str, str]


OF_LANGCHAIN = ("OpenAIRateLimitError", "OpenAIInvalidRequestError", "OpenAIAuthenticationError")
OF_LANGCHAIN_ANTHROPIC = ("AnthropicRateLimitError", "AnthropicInvalidRequestError", "AnthropicAuthenticationError")
OF_PYDANTIC_AI = ("ModelRateLimitError", "ModelRequestRejectedError", "ModelAuthenticationError")
OF_AI_SDK = ("AI_APICallError 429", "AI_APICallError 400", "AI_APICallError 401")
OF_ANTHROPIC = ("RateLimitError", "BadRequestError", "AuthenticationError")
LANGCHAIN = (PYTHON, "with_langchain.py")
PYDANTIC_AI = (PYTHON, "with_pydantic_ai.py")
AI_SDK = ("node", "with_ai_sdk.mjs")
CLIENTS = {
    "langchain-chat": Client((*LANGCHAIN, "chat"), MODELS, OF_LANGCHAIN),
    "langchain-responses": Client((*LANGCHAIN, "responses"), ONE_OF_EACH, OF_LANGCHAIN),
    "langchain-messages": Client((*LANGCHAIN, "messages"), ONE_OF_EACH, OF_LANGCHAIN_ANTHROPIC),
    "pydantic_ai-chat": Client((*PYDANTIC_AI, "chat"), MODELS, OF_PYDANTIC_AI),
    "pydantic_ai-responses": Client((*PYDANTIC_AI, "responses"), ONE_OF_EACH, OF_PYDANTIC_AI),
    "pydantic_ai-messages": Client((*PYDANTIC_AI, "messages"), ONE_OF_EACH, OF_PYDANTIC_AI),
    "ai_sdk-chat": Client((*AI_SDK, "chat"), MODELS, OF_AI_SDK),
    "ai_sdk-responses": Client((*AI_SDK, "responses"), ONE_OF_EACH, OF_AI_SDK),
    "ai_sdk-messages": Client((*AI_SDK, "messages"), ONE_OF_EACH, OF_AI_SDK),
    "anthropic_node-messages": Client(("node", "with_anthropic.mjs"), ONE_OF_EACH, OF_ANTHROPIC),
}
RUNS = [(name, provider) for name, client in CLIENTS.items() for provider in client.providers]
EMBEDDING = [(name, provider) for name, provider in RUNS if not name.endswith("-messages")]


@pytest.fixture(scope="module")
def asked(gateway_process: GatewayProcess) -> Callable[[str, str], Ran]:
    @cache
    def ask(client: str, provider: str) -> Ran:
        return run(gateway_process, gateway_process.agent(provider), CLIENTS[client].program, cwd=HERE)

    return ask


@pytest.fixture(params=RUNS, ids="-".join)
def asking(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A client, and a provider that it is asking."""
    client, provider = request.param
    return client, provider


@pytest.fixture
def ran(asking: tuple[str, str], asked: Callable[[str, str], Ran]) -> Ran:
    return asked(*asking)


@pytest.fixture
def raises(asking: tuple[str, str]) -> dict[int, str]:
    return dict(zip((429, 400, 401), CLIENTS[asking[0]].raises, strict=True))


def test_an_answer(ran):
    assert ran.cases["answer"]["text"] == GREETED
    assert ran.cases["answer"]["usage"] == [4, 4]
    ran.counted("answer", 4, 4)


def test_a_stream(ran):
    assert ran.cases["stream"]["text"] == GREETED
    ran.counted("stream", 4, 4, streamed=True)


def test_two_tool_calls_at_once_and_the_turn_after_them(ran):
    case = ran.cases["toolLoop"]
    assert case["calls"] == [["get_weather", WEATHER_ARGUMENTS], ["get_time", WEATHER_ARGUMENTS]]
    assert case["text"] == "The tool said: Sunny, 21 degrees Ten past noon"
    first, second = ran.recorded("toolLoop")
    assert (first.status, first.tokens_input, first.tokens_output) == ("ok", 24, 8)
    assert (second.status, second.tokens_input, second.tokens_output) == ("ok", 38, 9)


def test_a_streamed_tool_call_and_the_turn_after_it(ran):
    case = ran.cases["streamedToolLoop"]
    assert (case["calls"], case["text"]) == ([["get_weather", WEATHER_ARGUMENTS]], WEATHER_TOLD)
    first, second = ran.recorded("streamedToolLoop")
    assert (first.status, first.streamed, first.tokens_input, first.tokens_output) == ("ok", True, 14, 4)
    assert (second.status, second.streamed, second.tokens_input, second.tokens_output) == ("ok", True, 21, 6)


def test_an_image(ran):
    assert ran.cases["image"]["text"] == "You said: What is this?"
    ran.counted("image", 88, 5)


def test_an_answer_in_a_schema(ran):
    assert ran.cases["schema"]["value"] == {"city": "Paris, please", "degrees": 1}
    ran.counted("schema", 2, 2)


@pytest.mark.parametrize("asking", EMBEDDING, ids="-".join, indirect=True)
def test_embeddings(ran, raises):
    case = ran.cases["embeddings"]
    [record] = ran.recorded("embeddings")
    if ran.agent.provider == "anthropic":  # has none, and we say so
        assert record.http_status == 400
        assert case["raised"] in (raises[400], "BadRequestError")  # LangChain leaves it as OpenAI's SDK raised it
    else:
        assert case["lengths"] == [64, 64]
        assert (record.status, record.model, record.tokens_input) == ("ok", "mistral-embed", 6)


def test_coming_back_when_the_provider_said_to(ran, raises):
    assert ran.cases["rateLimited"]["raised"] == raises[429]
    assert ran.waited("rateLimited") >= 3000  # by themselves they wait for half a second, or two
    assert [record.http_status for record in ran.recorded("rateLimited")] == [429, 429]


def test_a_request_that_the_provider_does_not_take(ran, raises):
    assert ran.cases["badRequest"]["raised"] == raises[400]
    [record] = ran.recorded("badRequest")
    assert (record.status, record.http_status) == ("provider_error", 400)


def test_a_token_that_is_not_valid(ran, raises):
    assert ran.cases["badToken"]["raised"] == raises[401]
    assert [request["status"] for request in ran.cases["badToken"]["requests"]] == [401]


def test_a_stream_that_the_provider_cuts(ran):
    assert ran.cases["cut"]["raised"]
    [record] = ran.recorded("cut")
    assert (record.status, record.provenance, record.streamed) == ("provider_cut", "partial", True)


def test_nothing_else_is_recorded(ran):
    reached = [case["requests"] for name, case in ran.cases.items() if name != "badToken"]
    assert sorted(ran.records) == sorted(request["id"] for requests in reached for request in requests)
