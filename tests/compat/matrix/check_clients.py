"""Clients that people build on, against every provider: ``with_*`` ask, here it is checked. `make compat` runs it."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.compat.questions import GREETED, WEATHER_ARGUMENTS, WEATHER_TOLD
from tests.compat.ran import Ran, run
from tests.process import MODELS, ROOT, GatewayProcess

HERE = Path(__file__).parent
PYTHON = str(ROOT / ".venv-compat" / "bin" / "python")
CLIENTS = {
    "langchain": (PYTHON, "with_langchain.py"),
    "pydantic-ai": (PYTHON, "with_pydantic_ai.py"),
    "ai-sdk": ("node", "with_ai_sdk.mjs"),
}


@pytest.fixture(scope="module")
def asked(gateway_process: GatewayProcess) -> Callable[[str, str], Ran]:
    @cache
    def ask(client: str, provider: str) -> Ran:
        return run(gateway_process, gateway_process.agent(provider), CLIENTS[client], cwd=HERE)

    return ask


@pytest.fixture(params=[(client, provider) for client in CLIENTS for provider in MODELS], ids="-".join)
def ran(request: pytest.FixtureRequest, asked: Callable[[str, str], Ran]) -> Ran:
    return asked(*request.param)


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


def test_coming_back_when_the_provider_said_to(ran):
    assert ran.cases["rateLimited"]["raised"]
    assert ran.waited("rateLimited") >= 3000  # by themselves they wait for half a second, or two
    assert [record.http_status for record in ran.recorded("rateLimited")] == [429, 429]


def test_a_request_that_the_provider_does_not_take(ran):
    assert ran.cases["badRequest"]["raised"]
    [record] = ran.recorded("badRequest")
    assert (record.status, record.http_status) == ("provider_error", 400)


def test_a_token_that_is_not_valid(ran):
    assert ran.cases["badToken"]["raised"]
    assert [request["status"] for request in ran.cases["badToken"]["requests"]] == [401]


def test_nothing_else_is_recorded(ran):
    reached = [case["requests"] for name, case in ran.cases.items() if name != "badToken"]
    assert sorted(ran.records) == sorted(request["id"] for requests in reached for request in requests)
