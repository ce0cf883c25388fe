"""OpenAI's SDK for Node.js, against every provider: ``node/openai.mjs`` asks, here it is checked."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.compat.questions import GREETED, WEATHER_ARGUMENTS, WEATHER_TOLD
from tests.compat.ran import Ran, run
from tests.process import MODELS, GatewayProcess

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def asked(gateway_process: GatewayProcess) -> Callable[[str], Ran]:
    assert (NODE / "node_modules").is_dir(), "the SDK isn't here: run `make test`"

    @cache
    def ask(provider: str) -> Ran:
        return run(gateway_process, gateway_process.agent(provider), ["node", "openai.mjs"], cwd=NODE)

    return ask


@pytest.fixture(params=MODELS)
def ran(request: pytest.FixtureRequest, asked: Callable[[str], Ran]) -> Ran:
    return asked(request.param)


def test_an_answer(ran):
    case = ran.cases["answer"]
    assert (case["text"], case["finish"], case["usage"]) == (GREETED, "stop", [4, 4])
    ran.counted("answer", 4, 4)


@pytest.mark.parametrize("case", ["stream", "streamWithUsage"])
def test_a_stream(ran, case):
    found = ran.cases[case]
    assert (found["text"], found["finish"]) == (GREETED, "stop")
    assert case == "stream" or found["usage"] == [4, 4]
    ran.counted(case, 4, 4, streamed=True)


@pytest.mark.parametrize(("case", "streamed"), [("toolCall", False), ("streamedToolCall", True)])
def test_a_tool_call(ran, case, streamed):
    found = ran.cases[case]
    assert (found["calls"], found["finish"]) == ([["get_weather", WEATHER_ARGUMENTS]], "tool_calls")
    ran.counted(case, 14, 4, streamed=streamed)


@pytest.mark.parametrize(("case", "streamed"), [("twoToolCalls", False), ("streamedTwoToolCalls", True)])
def test_two_tool_calls_at_once(ran, case, streamed):
    assert ran.cases[case]["calls"] == [["get_weather", WEATHER_ARGUMENTS], ["get_time", WEATHER_ARGUMENTS]]
    ran.counted(case, 24, 8, streamed=streamed)


def test_the_turn_after_a_tool_call(ran):
    assert ran.cases["toolResult"]["text"] == WEATHER_TOLD
    ran.counted("toolResult", 18, 6)


def test_an_image(ran):
    assert ran.cases["image"]["text"] == "You said: What is this?"
    ran.counted("image", 88, 5)


def test_an_answer_in_a_schema(ran):
    assert json.loads(ran.cases["schema"]["text"]) == {"city": "Paris, please", "degrees": 1}
    ran.counted("schema", 2, 2)


def test_the_models(ran):
    assert ran.agent.model in ran.cases["models"]["models"]


def test_embeddings(ran):
    case = ran.cases["embeddings"]
    [record] = ran.recorded("embeddings")
    if ran.agent.provider == "anthropic":  # has none, and we say so
        assert (case["raised"], case["code"], record.http_status) == ("BadRequestError", "invalid_request", 400)
    else:
        assert case["lengths"] == [64, 64]
        assert (record.status, record.model, record.tokens_input) == ("ok", "mistral-embed", 6)


def test_a_token_that_is_not_valid(ran):
    case = ran.cases["badToken"]
    assert (case["raised"], case["code"]) == ("AuthenticationError", "invalid_agent_token")
    assert [request["status"] for request in case["requests"]] == [401]


def test_a_request_that_the_provider_does_not_take(ran):
    case = ran.cases["badRequest"]
    assert case["raised"] == "BadRequestError"
    assert case["message"].startswith("400 ")
    [record] = ran.recorded("badRequest")
    assert (record.status, record.http_status) == ("provider_error", 400)


def test_coming_back_when_the_provider_said_to(ran):
    case = ran.cases["rateLimited"]
    assert case["raised"] == "RateLimitError"
    assert ran.waited("rateLimited") >= 1000  # by itself the SDK waits for half of that
    assert [record.http_status for record in ran.recorded("rateLimited")] == [429, 429]


def test_a_stream_that_the_provider_cuts(ran):
    assert ran.cases["cut"]["raised"] == "APIError"
    [record] = ran.recorded("cut")
    assert (record.status, record.provenance, record.streamed) == ("provider_cut", "partial", True)


def test_nothing_else_is_recorded(ran):
    reached = [case["requests"] for name, case in ran.cases.items() if name not in ("models", "badToken")]
    assert sorted(ran.records) == sorted(request["id"] for requests in reached for request in requests)
