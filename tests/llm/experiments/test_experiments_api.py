"""Experiments through the management API, down to what the gateway reads of them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from agents import services, subscriptions
from agents.models import AuditEntry
from llm.experiments import services as experiments
from llm.experiments.services import Side
from llm.models import Experiment
from llm.snapshot import load
from tests.agents.program import Program, program_of

NOW = datetime(2026, 2, 10, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _in_the_tests_transaction(monkeypatch):
    monkeypatch.setattr("llm.snapshot.close_old_connections", lambda: None)


@pytest.fixture
def program(alex) -> Program:
    return program_of(alex)


@pytest.fixture
def other_key(alex):
    return services.save_key(workspace=alex.workspace, provider="mistral", secret="ms-0123456789abcdef", by=alex.user)


@pytest.fixture
def token(alex, bot) -> str:
    row, _secret = services.create_agent_token(agent=bot, by=alex.user)
    return row.digest


def loaded(token) -> Any:
    """What the gateway reads of the agent."""
    return load(token)


def two_models(bot):
    return {"agent": str(bot.pk), "arms": [{}, {"model": "gpt-4o"}]}


@pytest.fixture
def elenas(elena):
    """Elena's agent, on Pro."""
    agent = services.create_agent(workspace=elena.workspace, name="Front Desk", by=elena.user)
    subscriptions.choose_plan(agent=agent, tier="standard", by=elena.user, at=datetime.now(UTC))
    return agent


# --- Starting ---------------------------------------------------------------------------------------------------


def test_alex_starts_an_experiment_and_the_gateway_divides_his_traffic(program, bot, other_key, token):
    arms = [
        {"name": "today", "weight": 3},
        {"name": "small", "key": str(other_key.pk), "model": "mistral-small-latest", "instructions": "Be brief."},
    ]
    answer = program.post("experiments/", {"agent": str(bot.pk), "name": "Smaller?", "goal": "cost", "arms": arms})
    assert answer.status_code == 201
    shown = answer.json()
    today, small = shown.pop("arms")
    assert shown | {"id": "", "started_at": ""} == {
        "id": "",
        "agent": str(bot.pk),
        "name": "Smaller?",
        "goal": "cost",
        "status": "running",
        "adopted": None,
        "started_at": "",
        "ended_at": None,
    }
    assert today == {
        "id": today["id"], "name": "today", "weight": 3, "key": None, "model": "", "tier": "", "instructions": "",
    }  # fmt: skip
    assert small["key"] == str(other_key.pk)
    snapshot = loaded(token)
    assert snapshot.split.weights == (3, 1)
    first, second = snapshot.arms
    assert (first.arm, first.target.model, first.names_model) == (today["id"], "gpt-4o-mini", False)
    assert (second.target.provider, second.target.model, second.names_model) == (
        "mistral",
        "mistral-small-latest",
        True,
    )
    assert (second.target.key.reveal(), second.instructions) == ("ms-0123456789abcdef", "Be brief.")
    assert AuditEntry.objects.filter(action="experiment.started", workspace=bot.workspace).count() == 1


def test_two_readings_place_every_session_alike(program, bot, token):
    program.post("experiments/", two_models(bot))
    first, again = loaded(token), loaded(token)
    places = [(first.split.place(f"s{n}"), again.split.place(f"s{n}")) for n in range(200)]
    assert all(one == other for one, other in places)
    assert [arm.arm for arm in first.arms] == [arm.arm for arm in again.arms]


@pytest.mark.parametrize(
    ("arms", "says"),
    [
        ([{}], "two to four"),
        ([{"model": str(n)} for n in range(5)], "two to four"),
        ([{}, {}], "the same"),
        ([{}, {"tier": "economy"}], "not plans"),
        ([{}, {"model": "gpt-4o", "weight": 0}], "greater than or equal to 1"),
        ([{}, {"model": "gpt-4o", "weight": 101}], "less than or equal to 100"),
        ([{}, {"instructions": "x" * 4_001}], "4000"),
    ],
)
def test_what_cannot_be_compared_is_refused(program, bot, arms, says):
    answer = program.post("experiments/", {"agent": str(bot.pk), "arms": arms})
    assert answer.status_code == 400
    assert says in str(answer.json()["arms"])
    assert not Experiment.objects.exists()


def test_a_key_of_another_provider_needs_its_model(program, bot, other_key):
    answer = program.post("experiments/", {"agent": str(bot.pk), "arms": [{}, {"key": str(other_key.pk)}]})
    assert "Name the model" in str(answer.json()["arms"])


def test_an_agent_has_one_experiment_at_a_time(program, bot):
    assert program.post("experiments/", two_models(bot)).status_code == 201
    answer = program.post("experiments/", two_models(bot))
    assert (answer.status_code, "already" in str(answer.json()["agent"])) == (400, True)
    kept = Experiment.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        Experiment.objects.create(agent=bot, name="x", mode="byokey", started_at=NOW)
    program.patch(f"experiments/{kept.pk}/", {"status": "ended"})
    assert program.post("experiments/", two_models(bot)).status_code == 201


# --- Whose ------------------------------------------------------------------------------------------------------


def test_anothers_key_and_anothers_agent_are_not_there_to_be_compared(program, bot, stefan):
    theirs = services.save_key(
        workspace=stefan.workspace, provider="openai", secret="sk-stefan-0123456789", by=stefan.user
    )
    answer = program.post("experiments/", {"agent": str(bot.pk), "arms": [{}, {"key": str(theirs.pk), "model": "x"}]})
    assert (answer.status_code, answer.json()) == (400, {"arms": ["There is no such key."]})
    agent = services.create_agent(workspace=stefan.workspace, name="Vault", by=stefan.user)
    assert program.post("experiments/", two_models(agent)).json() == {"agent": ["There is no such agent."]}


def test_anothers_key_in_the_row_is_still_not_used(alex, bot, stefan, token):
    theirs = services.save_key(
        workspace=stefan.workspace, provider="openai", secret="sk-stefan-0123456789", by=stefan.user
    )
    started = experiments.start(
        agent=bot, name="", goal="cost", sides=[Side(), Side(model="gpt-4o")], by=alex.user, at=NOW
    )
    started.arms.filter(position=1).update(key=theirs, key_name="theirs")
    snapshot = loaded(token)
    assert (snapshot.split, snapshot.arms) == (None, ())
    assert snapshot.target.key.reveal() == "sk-alex-0123456789-wxyz"


def test_anothers_experiment_is_not_there(program, bot, stefan):
    made = program.post("experiments/", two_models(bot)).json()["id"]
    stranger = program_of(stefan)
    assert stranger.get("experiments/").json()["results"] == []
    for answer in (
        stranger.get(f"experiments/{made}/"),
        stranger.get(f"experiments/{made}/results/"),
        stranger.patch(f"experiments/{made}/", {"status": "ended"}),
        stranger.delete(f"experiments/{made}/"),
    ):
        assert answer.status_code == 404
    assert Experiment.objects.get().status == "running"


# --- On a plan --------------------------------------------------------------------------------------------------


def test_elena_may_try_a_smaller_plan_and_not_a_larger_one(elena, elenas):
    program = program_of(elena)
    larger = program.post("experiments/", {"agent": str(elenas.pk), "arms": [{}, {"tier": "premium"}]})
    assert "smaller" in str(larger.json()["arms"])
    keys = program.post("experiments/", {"agent": str(elenas.pk), "arms": [{}, {"model": "gpt-4o"}]})
    assert "Compare plans" in str(keys.json()["arms"])
    smaller = program.post("experiments/", {"agent": str(elenas.pk), "arms": [{}, {"tier": "economy"}]})
    assert smaller.status_code == 201
    row, _secret = services.create_agent_token(agent=elenas, by=elena.user)
    snapshot = loaded(row.digest)
    assert [arm.routes for arm in snapshot.arms] == ["", "economy"]
    assert {arm.plan.tier for arm in snapshot.arms} == {"standard"}


def test_a_side_dearer_than_the_plan_that_is_paid_for_answers_nobody(elena, elenas):
    started = experiments.start(
        agent=elenas, name="", goal="cost", sides=[Side(), Side(tier="economy")], by=elena.user, at=datetime.now(UTC)
    )
    started.arms.filter(position=1).update(tier="premium")
    row, _secret = services.create_agent_token(agent=elenas, by=elena.user)
    assert loaded(row.digest).split is None
    assert started.obstacle(tier="standard") == "plan"
    assert started.obstacle(tier=None) == "mode"


# --- Changing, ending, adopting ---------------------------------------------------------------------------------


def test_what_was_begun_keeps_its_sides(program, bot):
    made = program.post("experiments/", two_models(bot)).json()["id"]
    for change in ({"arms": [{}, {"model": "x"}]}, {"goal": "speed"}, {"agent": str(bot.pk)}):
        assert program.patch(f"experiments/{made}/", change).status_code == 400
    assert program.patch(f"experiments/{made}/", {"name": "Renamed"}).json()["name"] == "Renamed"


def test_paused_resumed_and_ended(program, bot, token):
    made = program.post("experiments/", two_models(bot)).json()["id"]
    assert program.patch(f"experiments/{made}/", {"status": "paused"}).json()["status"] == "paused"
    assert loaded(token).split is None
    program.patch(f"experiments/{made}/", {"status": "running"})
    assert loaded(token).split is not None
    assert program.patch(f"experiments/{made}/", {"status": "ended"}).json()["ended_at"]
    assert loaded(token).split is None
    again = program.patch(f"experiments/{made}/", {"status": "running"})
    assert (again.status_code, again.json()) == (400, {"status": ["This experiment is over."]})


def test_the_adopted_side_is_what_the_agent_is_from_then_on(program, bot, other_key, token):
    arms = [{}, {"key": str(other_key.pk), "model": "mistral-small-latest"}]
    made = program.post("experiments/", {"agent": str(bot.pk), "arms": arms}).json()
    shown = program.patch(f"experiments/{made['id']}/", {"adopt": made["arms"][1]["id"]}).json()
    assert (shown["status"], shown["adopted"]) == ("ended", made["arms"][1]["id"])
    bot.refresh_from_db()
    assert (bot.provider_key_id, bot.provider, bot.model) == (other_key.pk, "mistral", "mistral-small-latest")
    assert loaded(token).target.model == "mistral-small-latest"
    again = program.patch(f"experiments/{made['id']}/", {"adopt": made["arms"][0]["id"]})
    assert again.status_code == 400
    stranger = program.post("experiments/", two_models(bot)).json()
    wrong = program.patch(f"experiments/{stranger['id']}/", {"adopt": made["arms"][0]["id"]})
    assert wrong.json() == {"adopt": ["This experiment has no such side."]}


def test_adopting_a_smaller_plan_begins_next_month(elena, elenas):
    program = program_of(elena)
    made = program.post("experiments/", {"agent": str(elenas.pk), "arms": [{}, {"tier": "economy"}]}).json()
    program.patch(f"experiments/{made['id']}/", {"adopt": made["arms"][1]["id"]})
    shown = program.get(f"agents/{elenas.pk}/").json()
    assert (shown["tier"], shown["next_tier"]) == ("standard", "economy")


def test_a_deleted_key_ends_the_dividing_and_nothing_of_it_can_be_adopted(program, alex, bot, other_key, token):
    arms = [{}, {"key": str(other_key.pk), "model": "mistral-small-latest"}]
    made = program.post("experiments/", {"agent": str(bot.pk), "arms": arms}).json()
    services.delete_key(key=other_key, by=alex.user)
    assert loaded(token).split is None
    answer = program.patch(f"experiments/{made['id']}/", {"adopt": made["arms"][1]["id"]})
    assert "has changed since" in str(answer.json()["adopt"])


def test_deleting_a_running_experiment_gives_the_agent_back(program, bot, token):
    made = program.post("experiments/", two_models(bot)).json()["id"]
    assert program.delete(f"experiments/{made}/").status_code == 204
    assert loaded(token).split is None
