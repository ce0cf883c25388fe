"""Maya's prompts, what a comparison comes to, and columns that are asked over the gateway like any request."""

from dataclasses import dataclass
from decimal import Decimal

import msgspec
import pytest

from llm.compare import asking, prompts
from llm.compare.asking import Answered, Question, Round, Words
from llm.compare.prompts import BadPrompts
from llm.compare.summary import summary, undecided
from llm.errors import RateLimited
from tests.llm.gateway import agent, on_plan

# --- Prompts ----------------------------------------------------------------------------------------


def test_one_prompt_keeps_its_lines():
    assert prompts.one("  Dear Maya,\nplease write.\n") == ["Dear Maya,\nplease write."]


def test_a_list_is_a_prompt_a_line_and_empty_lines_are_none():
    assert prompts.lines("one\n\n  two  \n") == ["one", "two"]


def test_a_file_has_its_prompts_in_the_column_that_says_so():
    assert prompts.rows(b'id,Prompt\n1,Do you open on Sundays?\n2,"Bread, please"\n') == [
        "Do you open on Sundays?",
        "Bread, please",
    ]


def test_a_file_without_headings_has_them_in_its_first_column():
    assert prompts.rows("\ufeffOuvert le dimanche ?;oui\nDu pain;non\n".encode()) == ["Ouvert le dimanche ?", "Du pain"]


def test_two_hundred_rows_are_fine_and_of_one_that_is_not_the_row_is_named():
    rows = [f"{number},Prompt {number}" for number in range(200)]
    assert len(prompts.rows("\n".join(["id,prompt", *rows]).encode())) == 200
    rows[149] = "149,"
    with pytest.raises(BadPrompts, match="Row 151 of the file has no prompt"):
        prompts.rows("\n".join(["id,prompt", *rows]).encode())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "There are no prompts in it"),
        (b"prompt\n", "There are no prompts in it"),
        (b"\n".join([b"x"] * 201), "These are 201 prompts. Compare at most 200 at a time"),
        (b"fine\n" + b"x" * 8_001, "Row 2 is longer than 8,000 characters"),
        ("Straße".encode("latin-1"), "Save it as CSV in UTF-8"),
        (b'"never closed', "Save it as CSV in UTF-8"),
        (b"x" * (4 * 1024 * 1024 + 1), "too large"),
    ],
)
def test_what_cannot_be_asked_is_said_why(data, said):
    with pytest.raises(BadPrompts, match=said):
        prompts.rows(data)


# --- What it comes to -------------------------------------------------------------------------------


@dataclass
class Row:
    prompt: int
    column: int
    took_ms: int | None = None
    thumb: int = 0
    cost: Decimal | None = Decimal("0.001")
    status: str = "ok"
    first_word_ms: int | None = None
    tokens_input: int = 10
    tokens_output: int = 20
    price_version: str = "openai/gpt-4o@2024-10-02"


def test_wins_medians_and_costs_of_three_prompts():
    rows = [
        Row(0, 0, 100, thumb=1),
        Row(0, 1, 300, thumb=-1),
        Row(1, 0, 200, thumb=1),
        Row(1, 1, 500, thumb=1),
        Row(2, 0, 900),
        Row(2, 1, 400, thumb=1, cost=Decimal("0.003")),
    ]
    first, second = summary(rows, columns=2)
    # Who is found good together with another hasn't won.
    assert (first.wins, first.up, first.down, first.took_ms, first.tokens) == (1, 2, 0, 200, 90)
    assert (second.wins, second.up, second.down, second.took_ms, second.cost) == (1, 2, 1, 400, Decimal("0.005"))
    assert (first.fastest, first.cheapest, second.fastest, second.cheapest) == (True, True, False, False)
    assert second.per_thousand == Decimal("0.005") * 1000 / 3


def test_who_left_prompts_unanswered_is_neither_fastest_nor_cheapest():
    rows = [Row(0, 0, 100), Row(0, 1, 300), Row(1, 0, 1, status="failed", cost=Decimal()), Row(1, 1, 300)]
    first, second = summary(rows, columns=2)
    assert (first.answered, first.asked, second.answered) == (1, 2, 2)
    assert not first.fastest
    assert not first.cheapest


def test_a_hair_faster_is_not_the_fastest():
    assert not any(each.fastest for each in summary([Row(0, 0, 660), Row(0, 1, 670)], columns=2))
    assert [each.fastest for each in summary([Row(0, 0, 600), Row(0, 1, 670)], columns=2)] == [True, False]


def test_a_model_without_a_price_is_no_bargain():
    first, second = summary([Row(0, 0, 100, cost=None), Row(0, 1, 100)], columns=2)
    assert (first.cost, first.unpriced, first.cheapest, second.cheapest) == (None, 1, False, False)
    assert not first.fastest


def test_a_prompt_waits_until_one_answer_is_good_or_all_are_bad():
    assert undecided([Row(0, 0), Row(0, 1, thumb=-1)]) == 1
    assert undecided([Row(0, 0, thumb=-1), Row(0, 1, thumb=-1)]) == 0
    assert undecided([Row(0, 0, thumb=1), Row(0, 1)]) == 0
    assert undecided([Row(0, 0, thumb=1), Row(0, 1, status="asked")]) == 1
    assert undecided([Row(0, 0, status="failed"), Row(0, 1, thumb=1)]) == 0


# --- Asked over the gateway -------------------------------------------------------------------------


@pytest.fixture
def ask(house, witness):
    """Put questions to the gateway, as many as there are agents."""

    def begin(prompt: str, *agents) -> Round:
        questions = [Question(column=number, agent=each, prompt=prompt) for number, each in enumerate(agents)]
        return Round(questions, gateway=house.gateway, witness=witness)

    return begin


async def all_of(round_: Round) -> list[Answered]:
    heard: dict[int, str] = {}
    async for event in round_.events():
        if isinstance(event, Words):
            heard[event.column] = heard.get(event.column, "") + event.text
    assert all(heard.get(each.column, "") == each.text for each in round_.answers)
    return round_.answers


async def test_two_models_answer_the_same_prompt_each_metered(ask, house, echo):
    first = agent("openai", echo.url("openai"), model="gpt-4o-mini")
    second = agent("anthropic", echo.url("anthropic"), model="claude-haiku-4-5")
    one, two = await all_of(ask("one two three", first, second))
    assert (one.text, two.text) == ("You said: one two three", "You said: one two three")
    assert one.ok
    assert two.ok
    assert one.first_word_ms is not None
    assert one.took_ms is not None
    assert one.first_word_ms <= one.took_ms
    records = {record["model"]: record for record in await house.records()}
    assert set(records) == {"gpt-4o-mini", "claude-haiku-4-5"}
    assert {record["experiment_arm"] for record in records.values()} == {""}
    # 3 tokens at $0.15 and 5 at $0.60 a million
    assert one.cost == Decimal("0.00000345")


async def openai_and_groq(ask, echo):
    """Say hello to both; return what each answered."""
    groq = agent("groq", echo.url("groq"), model="llama-3.3-70b-versatile")
    return await all_of(ask("Hello", agent("openai", echo.url("openai")), groq))


async def test_one_providers_refusal_leaves_the_others(ask, echo):
    echo.script("status=401; quote_key", provider="openai")
    refused, answered = await openai_and_groq(ask, echo)
    assert (refused.ok, refused.code, refused.http_status) == (False, "provider_error", 401)
    assert refused.problem
    assert "sk-alex" not in refused.problem
    assert answered.text == "You said: Hello"


async def test_an_answer_that_breaks_off_keeps_what_came_and_says_so(ask, echo):
    echo.script("words=10; cut=3", provider="openai")
    cut, whole = await openai_and_groq(ask, echo)
    assert (cut.ok, cut.http_status, whole.ok) == (False, 200, True)
    assert "broke off" in cut.problem
    assert cut.text


async def test_who_stops_listening_stops_the_providers_and_what_came_is_metered(ask, house, echo):
    echo.script("words=500; chunk_delay=0.02")
    round_ = ask("Hello", agent("openai", echo.url("openai")), agent("groq", echo.url("groq"), model="llama"))
    events = round_.events()
    heard = {(await anext(events)).column for _number in range(6)}
    await events.aclose()
    assert heard == {0, 1}
    assert {each.code for each in round_.answers} == {"stopped"}
    assert all(each.record for each in round_.answers)
    assert {received.outcome for received in await echo.arequests(count=2)} == {"client_gone"}
    assert {record["status"] for record in await house.records()} == {"client_closed"}


async def test_plans_answer_over_their_own_routes_and_count_for_the_agent(ask, house, echo, settings):
    settings.PROVIDER_BASE_URL = lambda provider, _default: echo.url(provider)
    house.arranged.tier("economy", ("mistral", "mistral-small-latest"))
    house.arranged.tier("premium", ("anthropic", "claude-sonnet-4-20250514"))
    starter = on_plan("economy")
    first, second = await all_of(ask("one two three", starter, msgspec.structs.replace(starter, routes="premium")))
    assert first.ok
    assert second.ok
    records = {record["model"]: record for record in await house.records()}
    assert {model: (record["tier"], record["mode"]) for model, record in records.items()} == {
        "mistral-small-latest": ("economy", "managed"),
        "claude-sonnet-4-20250514": ("economy", "managed"),
    }
    # 8 tokens at $5.00 a million: what the plan's customer sees, whatever it costs us
    assert first.cost == second.cost == Decimal("0.00004")


async def test_no_comparison_passes_the_ceiling(ask, house, echo, settings):
    settings.PROVIDER_BASE_URL = lambda provider, _default: echo.url(provider)
    house.arranged.tier("economy", ("mistral", "mistral-small-latest"))
    # Room for one answer of at most 2,048 tokens, not for two.
    answers = await all_of(ask("one two three", *[on_plan("economy", most_tokens=2_500)] * 2))
    assert sorted((each.ok, each.code) for each in answers) == [(False, "overage_ceiling_reached"), (True, "")]
    assert len(await house.records()) == 1


class Full:
    """A gateway that lets a request in only at the third time."""

    def __init__(self, gateway) -> None:
        self.gateway = gateway
        self.asked = 0

    async def complete(self, call, reply, **how) -> None:
        self.asked += 1
        if self.asked < 3:
            raise RateLimited("full", requests_left=0, tokens_left=0, headers={"retry-after": "0"})
        await self.gateway.complete(call, reply, **how)


async def test_a_minute_that_is_full_is_waited_for(house, echo, witness, monkeypatch):
    monkeypatch.setattr(asking, "SHORTEST_WAIT", 0)
    full = Full(house.gateway)
    question = Question(column=0, agent=agent("openai", echo.url("openai")), prompt="Hello")
    [answered] = await all_of(Round([question], gateway=full, witness=witness))  # type: ignore[arg-type]
    assert (answered.text, full.asked) == ("You said: Hello", 3)
