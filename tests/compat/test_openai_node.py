"""OpenAI's SDK for Node.js, against every provider: ``node/openai.mjs`` asks, here it is checked."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.compat.questions import (
    BOTH_QUESTION,
    GREETED,
    HELLO,
    IMAGE_QUESTION,
    TIME,
    WEATHER,
    WEATHER_ANSWERED,
    WEATHER_ARGUMENTS,
    WEATHER_QUESTION,
    WEATHER_TOLD,
)
from tests.process import MODELS, GatewayProcess, RunningAgent

NODE = Path(__file__).parent / "node"
QUESTIONS = {
    "hello": HELLO,
    "weather": WEATHER_QUESTION,
    "both": BOTH_QUESTION,
    "answered": WEATHER_ANSWERED,
    "image": IMAGE_QUESTION,
    "tools": [WEATHER, TIME],
}


@dataclass
class Ran:
    """What the SDK saw, by case, and what was recorded, by request."""

    agent: RunningAgent
    cases: dict[str, Any]
    records: dict[str, Any]

    def counted(self, case: str, tokens_input: int, tokens_output: int, *, streamed: bool = False) -> None:
        """Check that the case's only request was a good one with these tokens."""
        [record] = self.recorded(case)
        agent = self.agent
        assert (record.provider, record.model, record.status) == (agent.provider, agent.model, "ok")
        assert (record.tokens_input, record.tokens_output) == (tokens_input, tokens_output)
        assert (record.streamed, record.http_status) == (streamed, 200)

    def recorded(self, case: str) -> list[Any]:
        return [self.records[request["id"]] for request in self.cases[case]["requests"]]


@pytest.fixture(scope="module")
def asked(gateway_process: GatewayProcess) -> Callable[[str], Ran]:
    assert (NODE / "node_modules").is_dir(), "the SDK isn't here: run `make test`"

    @cache
    def ask(provider: str) -> Ran:
        agent = gateway_process.agent(provider)
        command = ["node", "openai.mjs", gateway_process.url, agent.token, agent.model]
        ran = subprocess.run(
            command, cwd=NODE, input=json.dumps(QUESTIONS), check=True, stdout=subprocess.PIPE, text=True
        )
        records = {str(record.id): record for record in gateway_process.records(agent)}
        return Ran(agent, json.loads(ran.stdout), records)

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
    first, second = case["requests"]
    assert case["raised"] == "RateLimitError"
    assert second["at"] - first["at"] >= 1000  # ms; by itself the SDK waits for half of that
    assert [record.http_status for record in ran.recorded("rateLimited")] == [429, 429]


def test_a_stream_that_the_provider_cuts(ran):
    assert ran.cases["cut"]["raised"] == "APIError"
    [record] = ran.recorded("cut")
    assert (record.status, record.provenance, record.streamed) == ("provider_cut", "partial", True)


def test_nothing_else_is_recorded(ran):
    reached = [case["requests"] for name, case in ran.cases.items() if name not in ("models", "badToken")]
    assert sorted(ran.records) == sorted(request["id"] for requests in reached for request in requests)
