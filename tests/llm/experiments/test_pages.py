"""The pages of experiments: on one's own keys, on a plan, in French, and for those who may only look."""

from datetime import UTC, datetime

import pytest

from agents import services, subscriptions
from agents.models import Member, Role
from llm.experiments import services as experiments
from llm.experiments.services import Side
from llm.models import Experiment
from tests.metering.records import record, store

NOW = datetime(2026, 2, 10, 12, 0, tzinfo=UTC)
# What who is on a plan never meets.
UNSPOKEN = ("gpt", "openai", "minimax", "mistral", "provider", "api key", "llm", "p-value", "bayes")


@pytest.fixture(autouse=True)
def _february(time_machine):
    time_machine.move_to(NOW, tick=False)


@pytest.fixture
def helpdesk(elena):
    """Elena's agent, on Pro."""
    agent = services.create_agent(workspace=elena.workspace, name="Helpdesk", by=elena.user)
    subscriptions.choose_plan(agent=agent, tier="standard", by=elena.user, at=NOW)
    return agent


def form(**sides: str) -> dict[str, str]:
    """What the form of a new experiment sends."""
    given = {"goal": "cost", "name": ""}
    for position in range(4):
        given |= {f"side{position}-weight": "1", f"side{position}-instructions": ""}
    return given | sides


def test_elena_tries_a_smaller_plan_and_meets_no_word_that_she_never_should(elena, helpdesk):
    client = elena.client()
    page = client.get("/experiments/new/")  # she has one agent, so nobody asks which
    assert page.status_code == 200
    made = client.post(f"/experiments/new/?agent={helpdesk.pk}", form(**{"side1-tier": "economy"}), follow=True)
    started = Experiment.objects.get()
    assert [arm.name for arm in started.arms.all()] == ["Today", "Starter"]
    for shown in (page, made, client.get("/experiments/")):
        text = shown.content.decode().lower().split("<body", 1)[1]
        assert [word for word in UNSPOKEN if word in text] == []
    assert "moves to Starter on March 1, 2026" in made.content.decode()


def test_a_larger_plan_is_not_on_offer(elena, helpdesk):
    page = elena.client().get(f"/experiments/new/?agent={helpdesk.pk}").content.decode()
    assert ("Starter" in page, "Pro, as now" in page, "Ultra" in page) == (True, True, False)
    refused = elena.client().post(f"/experiments/new/?agent={helpdesk.pk}", form(**{"side1-tier": "premium"}))
    assert refused.status_code == 422


def test_what_cannot_be_compared_is_said_in_the_form(alex, bot):
    refused = alex.client().post(f"/experiments/new/?agent={bot.pk}", form())
    assert refused.status_code == 422
    assert "Two sides are the same." in refused.content.decode()


def test_a_comparison_hands_its_sides_over(alex, bot):
    key = services.save_key(workspace=alex.workspace, provider="mistral", secret="ms-0123456789abcdef", by=alex.user)
    asked = f"agent={bot.pk}&arm={bot.provider_key_id}:gpt-4o&arm={key.pk}:mistral-small-latest"
    page = alex.client().get(f"/experiments/new/?{asked}").content.decode()
    assert 'value="gpt-4o"' in page
    assert 'value="mistral-small-latest"' in page
    assert f'<option value="{key.pk}" selected>' in page


@pytest.mark.parametrize("arm", ["", ":", "x:y", "premium:", "0199aaaa-0000-7000-8000-00000000000a:x", "a" * 500])
def test_odd_sides_in_the_address_do_no_harm(alex, bot, arm):
    assert alex.client().get("/experiments/new/", {"agent": str(bot.pk), "arm": arm}).status_code == 200


def test_anothers_experiment_and_agent_are_not_there(alex, bot, stefan):
    started = begun(alex, bot)
    stranger = stefan.client()
    arm = started.arms.get(position=0)
    for path in ("", "pause/", "resume/", "end/", "delete/", f"adopt/{arm.pk}/"):
        ask = stranger.get if path == "" else stranger.post
        assert ask(f"/experiments/{started.pk}/{path}").status_code == 404
    assert "Support Bot" not in stranger.get(f"/experiments/new/?agent={bot.pk}").content.decode()
    assert Experiment.objects.get().status == "running"


def test_another_experiments_side_cannot_be_adopted_here(alex, bot):
    first = begun(alex, bot)
    experiments.end(experiment=first, by=alex.user, at=NOW)
    second = begun(alex, bot)
    assert alex.client().post(f"/experiments/{second.pk}/adopt/{first.arms.get(position=0).pk}/").status_code == 404


def test_who_sees_to_billing_only_may_look_and_not_touch(alex, bot, maya):
    Member.objects.create(workspace=alex.workspace, user=maya.user, role=Role.BILLING)
    maya.workspace.delete()
    started = begun(alex, bot)
    client = maya.client()
    page = client.get(f"/experiments/{started.pk}/")
    assert (page.status_code, b"Delete" in page.content) == (200, False)
    assert client.post(f"/experiments/{started.pk}/end/").status_code == 403
    assert client.get("/experiments/new/").status_code == 403


def test_an_adopted_addition_to_the_prompt_is_shown_to_be_copied(alex, bot):
    sides = [Side(), Side(instructions="Answer in one sentence.")]
    started = experiments.start(agent=bot, name="", goal="cost", sides=sides, by=alex.user, at=NOW)
    arm = started.arms.get(position=1)
    page = alex.client().post(f"/experiments/{started.pk}/adopt/{arm.pk}/", follow=True).content.decode()
    assert "Add this to your system prompt" in page
    assert "Answer in one sentence." in page


def test_an_experiment_that_cannot_go_on_says_why(alex, bot):
    key = services.save_key(workspace=alex.workspace, provider="mistral", secret="ms-0123456789abcdef", by=alex.user)
    sides = [Side(), Side(key=key, model="mistral-small-latest")]
    started = experiments.start(agent=bot, name="", goal="cost", sides=sides, by=alex.user, at=NOW)
    services.delete_key(key=key, by=alex.user)
    assert "A key of this experiment was deleted" in alex.client().get(f"/experiments/{started.pk}/").content.decode()


def test_sides_that_are_off_their_shares_are_warned_of(alex, bot):
    started = begun(alex, bot)
    arm = str(started.arms.get(position=0).pk)
    store(*(record(bot, experiment_arm=arm, session=f"{n:016x}", at=NOW) for n in range(60)))
    assert "too far from their shares" in alex.client().get(f"/experiments/{started.pk}/").content.decode()


def test_in_french(alex, bot):
    started = begun(alex, bot)
    client = alex.client()
    client.cookies["django_language"] = "fr"
    page = client.get(f"/experiments/{started.pk}/").content.decode()
    assert "il faut au moins 100 conversations de chaque côté" in page
    assert "Nouvelle expérience" in client.get("/experiments/new/").content.decode()


def test_four_sides_are_told_apart_by_letter(alex, bot):
    sides = [Side(), *(Side(model=name) for name in ("gpt-4o", "o3-mini", "gpt-4.1"))]
    started = experiments.start(agent=bot, name="", goal="speed", sides=sides, by=alex.user, at=NOW)
    page = alex.client().get(f"/experiments/{started.pk}/").content.decode()
    assert [letter in page for letter in ("<strong>B</strong>", "<strong>D</strong>")] == [True, True]


def begun(person, agent) -> Experiment:
    sides = [Side(), Side(model="gpt-4o")]
    return experiments.start(agent=agent, name="Bigger?", goal="cost", sides=sides, by=person.user, at=NOW)


def test_an_experiment_ends_by_itself_after_ninety_days(alex, bot, time_machine):
    started = begun(alex, bot)
    experiments.end_old(at=datetime(2026, 5, 11, 12, 0, tzinfo=UTC))
    started.refresh_from_db()
    assert started.status == "running"
    experiments.end_old(at=datetime(2026, 5, 11, 12, 1, tzinfo=UTC))
    started.refresh_from_db()
    assert started.status == "ended"
