"""Which side of an experiment answers whom: the same one always, everywhere, and as often as its share says."""

import subprocess
import sys
from collections import Counter

import msgspec
import pytest

from agents.crypto import Secret
from llm.providers.base import Target
from llm.snapshot import AgentSnapshot
from llm.split import Split
from metering.usage import record_id
from tests.llm.gateway import TOKEN, agent, on_plan

EXPERIMENT = "0199bbbb-0000-7000-8000-00000000000e"
HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three four"}]}
PRIVATE = "private reasons"


def divided(whole: AgentSnapshot, *arms: AgentSnapshot, weights: tuple[int, ...] = (1, 1)) -> AgentSnapshot:
    named = [msgspec.structs.replace(arm, arm=f"arm-{number}") for number, arm in enumerate(arms)]
    return msgspec.structs.replace(whole, split=Split(experiment_id=EXPERIMENT, weights=weights), arms=tuple(named))


@pytest.fixture
def alexs(house, echo):
    """Alex's agent, half on its own model and half on another model with another of his keys."""
    whole = agent("openai", echo.url("openai"))
    target = Target(
        provider="mistral",
        model="mistral-small-latest",
        base_url=echo.url("mistral"),
        key=Secret("sk-other-0123456789"),
    )
    house.agents[TOKEN] = divided(whole, whole, msgspec.structs.replace(whole, target=target, names_model=True))
    return house


# --- Whom -------------------------------------------------------------------------------------------------------


def test_a_session_has_one_place_and_other_experiments_place_it_elsewhere():
    split = Split(experiment_id=EXPERIMENT, weights=(1, 1))
    assert {split.place("session:maya") for _again in range(100)} == {split.place("session:maya")}
    other = Split(experiment_id="0199bbbb-0000-7000-8000-00000000000f", weights=(1, 1))
    moved = sum(split.place(f"user:{n}").arm != other.place(f"user:{n}").arm for n in range(1_000))
    assert 440 < moved < 560
    assert split.place("session:maya").session != other.place("session:maya").session


def test_another_process_comes_to_the_same_places():
    ask = (
        "from llm.split import Split; "
        f"s = Split(experiment_id='{EXPERIMENT}', weights=(3, 1)); "
        "print(''.join(str(s.place(f'user:{n}').arm) for n in range(500)))"
    )
    there = [subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True) for _two in "ab"]
    here = Split(experiment_id=EXPERIMENT, weights=(3, 1))
    expected = "".join(str(here.place(f"user:{n}").arm) for n in range(500))
    assert [each.stdout.strip() for each in there] == [expected, expected]


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (70, 20, 10), (1, 1, 1, 97)])
def test_shares_are_met(weights):
    split = Split(experiment_id=EXPERIMENT, weights=weights)
    counted = Counter(split.place(f"session:{n}").arm for n in range(20_000))
    for arm, weight in enumerate(weights):
        expected = 20_000 * weight / sum(weights)
        assert abs(counted[arm] - expected) < 4 * expected**0.5


def test_requests_that_name_no_session_are_shared_out_by_their_ids():
    split = Split(experiment_id=EXPERIMENT, weights=(70, 20, 10))
    places = [split.place_of_request(record_id()) for _request in range(20_000)]
    counted = Counter(place.arm for place in places)
    assert [round(counted[arm] / 20_000, 1) for arm in range(3)] == [0.7, 0.2, 0.1]
    assert len({place.session for place in places}) == 20_000
    assert {len(place.session) for place in places} == {16}
    first = "019aaaaa-0000-7000-8000-000000000000"
    assert split.place_of_request(first) == split.place_of_request(first) == (0, "8000000000000000")
    assert split.place_of_request("019aaaaa-0000-7000-bfff-ffffffffffff").arm == 2


def test_what_is_noted_of_a_session_does_not_name_it():
    place = Split(experiment_id=EXPERIMENT, weights=(1, 1)).place("user:maya@maya.example")
    assert len(place.session) == 16
    assert "maya" not in place.session


async def test_the_same_session_is_answered_by_the_same_side(alexs):
    for name in ("ann", "bob", "cleo", "dan", "eve", "fay"):
        for _again in range(3):
            await alexs.call(HELLO, headers={"x-vutler-session": name})
    records = await alexs.records()
    by_session = {(each["session"], each["experiment_arm"], each["provider"]) for each in records}
    assert (len(records), len(by_session)) == (18, 6)
    assert {arm for _session, arm, _provider in by_session} == {"arm-0", "arm-1"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {**HELLO, "user": "maya"}),
        ("/v1/chat/completions", {**HELLO, "metadata": {"user_id": "maya"}}),
        ("/v1/responses", {"model": "gpt-4o-mini", "input": "one two", "user": "maya"}),
        (
            "/v1/messages",
            {"model": "m", "max_tokens": 50, "messages": HELLO["messages"], "metadata": {"user_id": "maya"}},
        ),
    ],
)
async def test_without_a_session_the_end_user_is_one(alexs, path, body):
    for _again in range(4):
        assert (await alexs.call(body, path=path)).status == 200
    place = Split(experiment_id=EXPERIMENT, weights=(1, 1)).place("user:maya")
    assert {(each["experiment_arm"], each["session"]) for each in await alexs.records()} == {
        (f"arm-{place.arm}", place.session)
    }


@pytest.mark.parametrize("odd", [{"user": 7}, {"user": ""}, {"metadata": "x"}, {"metadata": {"user_id": {}}}])
async def test_who_names_nobody_is_a_session_of_one_request(alexs, odd):
    await alexs.call({**HELLO, **odd})
    await alexs.call({**HELLO, **odd})
    sessions = {each["session"] for each in await alexs.records()}
    assert len(sessions) == 2


async def test_embeddings_are_no_part_of_an_experiment(alexs):
    await alexs.call({"model": "text-embedding-3-small", "input": "one"}, path="/v1/embeddings")
    record = await alexs.record()
    assert (record["experiment_arm"], record["session"]) == ("", None)


# --- With what --------------------------------------------------------------------------------------------------


async def test_a_side_is_asked_for_its_own_model_under_its_own_key_whatever_the_request_names(alexs, echo):
    whole = alexs.agents[TOKEN]
    alexs.agents[TOKEN] = divided(whole, whole.arms[1])
    alexs.agents[TOKEN] = msgspec.structs.replace(
        alexs.agents[TOKEN], split=Split(experiment_id=EXPERIMENT, weights=(1,))
    )
    await alexs.call(HELLO)
    [received] = await echo.arequests(count=1)
    assert (received.provider, received.json()["model"]) == ("mistral", "mistral-small-latest")
    assert received.headers["authorization"] == "Bearer sk-other-0123456789"


async def test_a_fallback_counts_for_the_side_that_was_chosen(alexs, echo):
    whole = agent("openai", echo.url("openai"))
    spare = Target(provider="groq", model="llama-3.3-70b", base_url=echo.url("groq"), key=Secret("sk-spare-0123456789"))
    arm = msgspec.structs.replace(whole, backup=spare)
    alexs.agents[TOKEN] = divided(whole, arm, weights=(1,))
    echo.script("status=503", provider="openai")
    answered = await alexs.call(HELLO, headers={"x-vutler-session": "maya"})
    assert answered.headers["x-vutler-provider"] == "groq"
    record = await alexs.record()
    assert (record["experiment_arm"], record["provider"], record["status"]) == ("arm-0", "groq", "ok")


async def test_a_smaller_plans_routes_answer_and_the_bill_stays_with_the_agents_own(house, echo, settings):
    settings.PROVIDER_BASE_URL = lambda provider, _default: echo.url(provider)
    house.arranged.tier("standard", ("openai", "gpt-4o-mini"))
    house.arranged.tier("economy", ("minimax", "MiniMax-M2.5"))
    whole = on_plan("standard")
    house.agents[TOKEN] = divided(whole, msgspec.structs.replace(whole, routes="economy"), weights=(1,))
    assert (await house.call(HELLO)).status == 200
    record = await house.record()
    assert (record["provider"], record["tier"], record["experiment_arm"]) == ("minimax", "standard", "arm-0")
    assert record["price_total"] == 50_000_000


# --- With an addition to the system prompt ----------------------------------------------------------------------


def told(house, echo_url, text="Be brief."):
    whole = agent("openai", echo_url)
    house.agents[TOKEN] = divided(whole, msgspec.structs.replace(whole, instructions=text), weights=(1,))


@pytest.mark.parametrize(
    ("messages", "first"),
    [
        ([], {"role": "system", "content": "Be brief."}),
        ([{"role": "system", "content": "You sell tea."}], {"role": "system", "content": "You sell tea.\n\nBe brief."}),
        (
            [{"role": "developer", "content": [{"type": "text", "text": "You sell tea."}]}],
            {
                "role": "developer",
                "content": [{"type": "text", "text": "You sell tea."}, {"type": "text", "text": "Be brief."}],
            },
        ),
    ],
)
async def test_chat_is_told_in_its_system_message(house, echo, messages, first):
    told(house, echo.url("openai"))
    question = {"role": "user", "content": "one  two", "name": "x"}
    await house.call({"messages": [*messages, question], "temperature": 0.70, "seed": 12345678901234567890})
    [received] = await echo.arequests(count=1)
    assert received.json()["messages"] == [first, question]
    assert b'"seed":12345678901234567890' in received.body


@pytest.mark.parametrize(
    ("system", "changed"),
    [
        (None, "Be brief."),
        ("You sell tea.", "You sell tea.\n\nBe brief."),
        (
            [{"type": "text", "text": "You sell tea.", "cache_control": {"type": "ephemeral"}}],
            [
                {"type": "text", "text": "You sell tea.", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "Be brief."},
            ],
        ),
    ],
)
async def test_messages_are_told_in_their_system_prompt(house, echo, system, changed):
    whole = agent("anthropic", echo.url("anthropic"), model="claude-haiku-4-5")
    house.agents[TOKEN] = divided(whole, msgspec.structs.replace(whole, instructions="Be brief."), weights=(1,))
    body = {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": HELLO["messages"]}
    await house.call(body | ({"system": system} if system else {}), path="/v1/messages")
    [received] = await echo.arequests(count=1)
    assert received.json()["system"] == changed


@pytest.mark.parametrize(("given", "changed"), [({}, "Be brief."), ({"instructions": "Sell."}, "Sell.\n\nBe brief.")])
async def test_responses_are_told_in_their_instructions(house, echo, given, changed):
    told(house, echo.url("openai"))
    await house.call({"model": "gpt-4o-mini", "input": "one two", **given}, path="/v1/responses")
    [received] = await echo.arequests(count=1)
    assert received.json()["instructions"] == changed


async def test_what_is_no_prompt_is_left_to_the_provider(house, echo):
    told(house, echo.url("openai"))
    await house.call({"model": "gpt-4o-mini", "messages": [7]})
    [received] = await echo.arequests(count=1)
    assert received.json()["messages"] == [7]


async def test_an_addition_to_the_prompt_is_not_in_the_record(house, echo):
    told(house, echo.url("openai"), PRIVATE)
    await house.call(HELLO)
    assert (await house.record())["status"] == "ok"
    assert PRIVATE.encode() not in house.lines[0]
