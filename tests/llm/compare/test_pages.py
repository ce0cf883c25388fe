"""Maya's comparisons on their pages: what is asked, what is hidden until she votes, and what nobody stores."""

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import AsyncClient
from django.urls import reverse
from django.utils import timezone

from agents import services as agents
from agents import subscriptions
from agents.models import Agent, Role, User
from llm import running
from llm.compare import services
from llm.compare.columns import Column
from llm.condition import Conditions
from llm.models import ComparedAnswer, Comparison, PlanTries, PromptSet
from llm.snapshot import snapshot_of
from tests.conftest import Person, person

COMPARE = "/compare/"
PROMPT = "Do you open on Sundays?"
HTMX = {"hx-request": "true"}


@pytest.fixture
def writer(maya) -> Agent:
    """Maya's agent, with keys at two providers to choose from."""
    agent = agents.create_agent(workspace=maya.workspace, name="Writer", by=maya.user, model="gpt-4o-mini")
    for provider in ("groq", "openai"):
        key = agents.save_key(
            workspace=maya.workspace, provider=provider, secret=f"sk-{provider}-0123456789-wxyz", by=maya.user
        )
    agents.use_key(agent=agent, key=key, by=maya.user)
    return Agent.objects.select_related("workspace").get(pk=agent.pk)


@pytest.fixture
def bakery(elena) -> Agent:
    """Elena's agent, on Starter."""
    agent = agents.create_agent(workspace=elena.workspace, name="Bakery", by=elena.user)
    subscriptions.choose_plan(agent=agent, tier="economy", by=elena.user, at=timezone.now())
    return Agent.objects.select_related("workspace").get(pk=agent.pk)


def columns(agent: Agent, *models: str) -> list[Column]:
    """A column for each model, at the key of that provider."""
    keys = {key.provider: key for key in agent.workspace.provider_keys.all()}
    return [Column.of_key(keys[model.partition("/")[0]], model.partition("/")[2]) for model in models]


def typed(agent: Agent, **other: Any) -> dict[str, Any]:
    """What the form sends when Maya compares two models."""
    first, second = columns(agent, "openai/gpt-4o-mini", "groq/llama-3.3-70b-versatile")
    return {
        "agent": str(agent.pk),
        "source": "one",
        "prompt": PROMPT,
        "column_1": first.arm,
        "column_2": second.arm,
        **other,
    }


def begun(agent: Agent, *, keep: bool = False, blind: bool = False, tiers: tuple[str, ...] = ()) -> Comparison:
    now = timezone.now()
    compared = [Column.of_plan(tier, at=now) for tier in tiers] or columns(
        agent, "openai/gpt-4o-mini", "groq/llama-3.3-70b-versatile"
    )
    return services.begin(agent=agent, columns=compared, prompts=[PROMPT], blind=blind, keep=keep, at=now)


# --- What is asked ----------------------------------------------------------------------------------


def test_maya_chooses_among_the_models_of_her_keys(maya, writer):
    page = maya.client().get(COMPARE).content.decode()
    assert "llama-3.3-70b-versatile" in page
    assert "gpt-4o-mini" in page
    assert "stored unless you keep the run" in page


def test_elena_chooses_among_plans_and_meets_no_model(elena, bakery):
    page = elena.client().get(COMPARE).content.decode()
    assert "Starter (your plan)" in page
    assert "Plans above yours: 30 more answers this month" in page
    for word in ("gpt", "claude", "MiniMax", "OpenAI", "API key", "provider", "LLM"):
        assert word not in page


def test_without_a_key_the_next_step_is_one(alex):
    agents.create_agent(workspace=alex.workspace, name="Bot", by=alex.user)
    assert reverse("agents:new_key") in alex.client().get(COMPARE).content.decode()
    assert reverse("agents:new_agent") in person("Nobody").client().get(COMPARE).content.decode()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"prompt": " "}, "Write a prompt first."),
        ({"source": "list", "prompt": "\n"}, "There are no prompts in it."),
        ({"source": "file"}, "Choose a file first."),
        ({"column_2": "None"}, "Select a valid choice"),
    ],
)
def test_what_is_missing_is_said(maya, writer, changed, said):
    answer = maya.client().post(COMPARE, typed(writer, **changed))
    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_the_same_model_twice_is_no_comparison(maya, writer):
    sent = typed(writer)
    answer = maya.client().post(COMPARE, sent | {"column_2": sent["column_1"]})
    assert "The same model is there twice." in answer.content.decode()


def test_a_file_of_two_hundred_rows_with_a_bad_one_names_it(maya, writer):
    rows = [f"{number},What is {number} times seven?" for number in range(200)]
    rows[149] = "149,"
    file = SimpleUploadedFile("prompts.csv", "\n".join(["id,prompt", *rows]).encode())
    answer = maya.client().post(COMPARE, typed(writer, source="file", file=file))
    assert answer.status_code == 422
    assert "Row 151 of the file has no prompt." in answer.content.decode()


def test_a_model_that_is_not_listed_can_be_typed(maya, writer):
    sent = typed(writer)
    other = sent["column_1"].partition(":")[0] + ":"
    client = maya.client()
    assert "Type the name of the model." in client.post(COMPARE, sent | {"column_1": other}).content.decode()
    answer = client.post(COMPARE, sent | {"column_1": other, "model_1": "gpt-5"})
    # Here nothing runs that could answer; but that is all that's wrong.
    assert "Nothing can be asked right now." in answer.content.decode()


# --- Whose it is ------------------------------------------------------------------------------------


def test_nobody_elses_comparison_is_there(maya, stefan, writer):
    kept, saved = (
        begun(writer, keep=True),
        services.save_prompts(workspace=maya.workspace, name="Mine", prompts=[PROMPT]),
    )
    his = stefan.client()
    assert his.get(f"{COMPARE}{kept.pk}/").status_code == 404
    for act in ("ask", "vote", "names", "delete"):
        assert his.post(f"{COMPARE}{kept.pk}/{act}/", {"number": 0, "prompt": PROMPT}).status_code == 404
    assert his.post(f"{COMPARE}prompts/{saved.pk}/delete/").status_code == 404
    assert PROMPT not in his.get(COMPARE).content.decode()
    assert Comparison.objects.get() == kept
    assert PromptSet.objects.get() == saved


def test_nobody_compares_with_another_workspaces_key_or_agent(stefan, maya, writer):
    agents.create_agent(workspace=stefan.workspace, name="His", by=stefan.user)
    agents.save_key(workspace=stefan.workspace, provider="openai", secret="sk-stefan-0123456789", by=stefan.user)
    answer = stefan.client().post(COMPARE, typed(writer))
    assert answer.status_code == 422
    assert "Writer" not in answer.content.decode()
    assert not Comparison.objects.exists()


def test_who_sees_to_billing_only_spends_nothing(maya, writer):
    clerk = User.objects.create_user("clerk@maya.example", "x")
    maya.workspace.memberships.create(user=clerk, role=Role.BILLING)
    client = Person(user=clerk, workspace=maya.workspace).client()
    assert client.get(COMPARE).status_code == 403
    assert client.post(COMPARE, typed(writer)).status_code == 403


# --- Plans above one's own --------------------------------------------------------------------------


def test_a_run_that_asks_more_of_dearer_plans_than_is_left_does_not_begin(elena, bakery):
    PlanTries.objects.create(agent=bakery, month=f"{timezone.now():%Y-%m}", answers=27)
    sent = {"source": "list", "prompt": "one\ntwo", "plans": ["economy", "standard", "premium"]}
    answer = elena.client().post(COMPARE, sent)
    assert answer.status_code == 422
    said = "This month you can see 3 more answers of plans above yours, and this would take 4."
    assert said in answer.content.decode()


@pytest.mark.parametrize(
    ("own", "tiers", "arms"),
    [
        ("economy", ("economy", "standard"), []),
        ("standard", ("economy", "standard", "premium"), ["economy:", "standard:"]),
    ],
)
def test_only_plans_that_are_paid_for_can_be_proved_on_real_traffic(elena, bakery, own, tiers, arms):
    subscriptions.choose_plan(agent=bakery, tier=own, by=elena.user, at=timezone.now())
    run = begun(bakery, tiers=tiers)
    for column in range(len(tiers)):
        run.answers.create(prompt=0, column=column, status="ok", took_ms=100, cost=0)
    page = elena.client().get(f"{COMPARE}{run.pk}/").content.decode()
    assert re.findall(r'name="arm" value="([^"]+)"', page) == arms
    assert (f"/agents/{bakery.pk}/plan/" in page) == (not arms)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_no_more_get_a_dearer_plan_than_there_are_tries(bakery):
    now = timezone.now()
    PlanTries.objects.create(agent=bakery, month=f"{now:%Y-%m}", answers=services.TRIES_A_MONTH - 3)

    def take(_number: int) -> bool:
        try:
            return services.take_try(bakery, at=now)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(take, range(8)))
    assert sum(taken) == 3
    assert services.tries_left(bakery, at=now) == 0


# --- A run, with the gateway ------------------------------------------------------------------------


@pytest.fixture
async def at_work(house, witness, echo, settings):
    """This process has a gateway, and every provider is played by echo."""
    settings.PROVIDER_BASE_URL = lambda provider, _default: echo.url(provider)
    running.show(
        running.Running(
            pool=house.pool,
            conditions=Conditions(url="", look=house.pool.condition),
            limits_away=lambda: False,
            answering=running.Answering(house.gateway, witness),
        )
    )
    yield house
    running.show(None)
    # Views run in a thread of their own, whose connection nobody else closes.
    await sync_to_async(connections.close_all)()


async def browser(person: Person) -> AsyncClient:
    client = AsyncClient()
    await client.aforce_login(person.user)
    return client


async def events(answer: Any) -> list[tuple[str, dict[str, Any]]]:
    body = b"".join([part async for part in answer.streaming_content]).decode()
    found = [event.split("\n") for event in body.split("\n\n") if event]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in found]


async def rows(comparison: Comparison) -> list[ComparedAnswer]:
    return [row async for row in comparison.answers.all()]


@pytest.mark.django_db(transaction=True)
async def test_a_blind_run_names_nobody_until_maya_votes_and_stores_no_word(maya, writer, at_work):
    client = await browser(maya)
    page = await client.post(COMPARE, await sync_to_async(typed)(writer, blind="on"), headers=HTMX)
    assert page.status_code == 200
    run = await Comparison.objects.aget()
    asked = {"number": 0, "prompt": PROMPT}
    heard = await events(await client.post(f"{COMPARE}{run.pk}/ask/", asked))

    assert [name for name, _data in heard if name != "words"] == ["round", "answer", "answer", "summary"]
    said = dict.fromkeys((0, 1), "")
    for name, data in heard:
        if name == "words":
            said[data["place"]] += data["text"]
    assert said == {0: f"You said: {PROMPT}", 1: f"You said: {PROMPT}"}
    told = json.dumps(heard)
    assert "gpt-4o-mini" not in told
    assert "llama" not in told
    assert "Vote on 1 more prompt" in told
    # The figures of both are kept, and nothing that was said.
    first, second = await rows(run)
    assert (first.status, second.status, first.text, second.text, run.prompts) == ("ok", "ok", "", "", [])
    assert first.tokens_input == 5
    assert first.cost is not None
    again = await client.post(f"{COMPARE}{run.pk}/ask/", asked)
    assert again.status_code == 409
    assert len(await at_work.records()) == 2

    voted = await client.post(f"{COMPARE}{run.pk}/vote/", {"number": 0, "place": 1, "thumb": 1}, headers=HTMX)
    revealed = voted.content.decode()
    assert "gpt-4o-mini" in revealed
    assert "/experiments/new/" in revealed
    assert sorted(row.thumb for row in await rows(run)) == [0, 1]


@pytest.mark.django_db(transaction=True)
async def test_a_provider_that_refuses_is_named_with_its_reason_beside_the_others_answer(maya, writer, at_work, echo):
    echo.script("status=401", provider="groq")
    run = await sync_to_async(begun)(writer, keep=True)
    client = await browser(maya)
    heard = await events(await client.post(f"{COMPARE}{run.pk}/ask/", {"number": 0, "prompt": PROMPT}))
    words = {data["words"] for name, data in heard if name == "answer"}
    assert "" in words
    assert any(word.startswith("Groq refused with status 401: ") for word in words)
    answered, refused = await rows(run)
    assert (answered.status, refused.status) == ("ok", "failed")
    # A kept run is there with all that was said, until it's deleted.
    page = (await client.get(f"{COMPARE}{run.pk}/")).content.decode()
    assert f"You said: {PROMPT}" in page
    assert "Groq refused with status 401" in page
    await client.post(f"{COMPARE}{run.pk}/delete/")
    assert not await ComparedAnswer.objects.aexists()


@pytest.mark.django_db(transaction=True)
async def test_the_ceiling_is_kept_in_comparisons_and_said_in_words(elena, bakery, at_work):
    at_work.arranged.tier("economy", ("mistral", "mistral-small-latest"))
    at_work.arranged.tier("standard", ("openai", "gpt-4o-mini"))
    # 2,000,000 tokens included and 2,500,000 more for $5
    at_work.used[str(bakery.pk)] = 4_499_000
    run = await sync_to_async(begun)(bakery, tiers=("economy", "standard"))
    client = await browser(elena)
    heard = await events(await client.post(f"{COMPARE}{run.pk}/ask/", {"number": 0, "prompt": PROMPT}))
    words = [data["words"] for name, data in heard if name == "answer"]
    said = "This agent has reached its limit for this month. Raise it in the agent's settings to go on."
    assert words == [said, said]
    told = json.dumps(heard)
    assert "Starter" in told
    for word in ("mistral", "gpt", "OpenAI"):
        assert word not in told
    assert await at_work.records() == []


@pytest.mark.django_db(transaction=True)
async def test_without_a_script_a_single_prompt_is_answered_on_the_page(maya, writer, at_work):
    client = await browser(maya)
    sent = await sync_to_async(typed)(writer)
    page = (await client.post(COMPARE, sent)).content.decode()
    assert page.count(f"You said: {PROMPT}") == 2
    assert "0.0" in page
    several = await client.post(COMPARE, sent | {"source": "list", "prompt": "one\ntwo"})
    assert "A list needs JavaScript." in several.content.decode()


@pytest.mark.django_db(transaction=True)
async def test_who_leaves_stops_the_providers_and_what_came_is_noted(maya, writer, at_work, echo):
    echo.script("words=500; chunk_delay=0.02")
    run = await sync_to_async(begun)(writer)
    client = await browser(maya)
    answer = await client.post(f"{COMPARE}{run.pk}/ask/", {"number": 0, "prompt": PROMPT})
    both_speak = asyncio.Event()

    async def read() -> None:
        spoke = set()
        async for part in answer.streaming_content:  # type: ignore[attr-defined]
            if part.startswith(b"event: words"):
                spoke.add(json.loads(part.split(b"data: ")[1])["place"])
            if len(spoke) == 2:
                both_speak.set()

    reading = asyncio.create_task(read())
    await both_speak.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert {received.outcome for received in await echo.arequests(count=2)} == {"client_gone"}
    assert {record["status"] for record in await at_work.records()} == {"client_closed"}
    assert {(row.status, row.tokens_output > 0) for row in await rows(run)} == {("stopped", True)}


# --- What stays -------------------------------------------------------------------------------------


def test_what_nobody_kept_goes_with_the_next_run_a_day_later(maya, writer):
    old, kept = begun(writer), begun(writer, keep=True)
    Comparison.objects.update(created_at=timezone.now() - services.FORGET_AFTER)
    new = begun(writer)
    assert {each.pk for each in Comparison.objects.all()} == {kept.pk, new.pk}
    assert old.pk not in {kept.pk, new.pk}


def test_saved_prompts_can_be_asked_again_and_deleted(maya, writer):
    saved = services.save_prompts(workspace=maya.workspace, name="Sundays", prompts=["old"])
    assert services.save_prompts(workspace=maya.workspace, name="Sundays", prompts=[PROMPT]) == saved
    client = maya.client()
    assert "Sundays" in client.get(COMPARE).content.decode()
    answer = client.post(COMPARE, typed(writer, source="saved", saved=str(saved.pk), prompt=""))
    assert "Nothing can be asked right now." in answer.content.decode()
    client.post(f"{COMPARE}prompts/{saved.pk}/delete/")
    assert not PromptSet.objects.exists()


def test_a_column_whose_key_is_gone_answers_nothing_anymore(maya, writer):
    run = begun(writer)
    [_openai, groq] = Column.kept(run.columns)
    writer.workspace.provider_keys.filter(provider="groq").delete()
    assert groq.answering(snapshot_of(writer, at=timezone.now()), writer) is None
