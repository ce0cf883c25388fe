"""From the meter's records and people's thumbs to what an experiment says."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from agents import services, subscriptions
from llm.experiments import results
from llm.experiments import services as experiments
from llm.experiments.evidence import Metric, Verdict
from llm.experiments.services import Side
from llm.experiments.words import Speaker
from llm.feedback import keep
from llm.models import Experiment, Feedback
from metering.record import picodollars
from metering.store import StoreUnavailable, get_store
from tests.agents.program import program_of
from tests.metering.records import record, store

NOW = datetime(2026, 2, 10, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=9)


@pytest.fixture
def started(alex, bot) -> Experiment:
    sides = [Side(name="today"), Side(name="gpt-4o", model="gpt-4o")]
    return experiments.start(agent=bot, name="Cheaper?", goal="cost", sides=sides, by=alex.user, at=NOW)


def traffic(agent, experiment, *, sessions, costs, seed=1, **fields):
    """Requests of as many sessions a side: one to three each, at the side's cost in USD, give or take."""
    chance = random.Random(seed)
    made = []
    for arm, cost in zip(experiment.arms.all(), costs, strict=True):
        for session in range(sessions):
            for _request in range(chance.randint(1, 3)):
                spent = str(round(cost * chance.lognormvariate(0, 0.4), 9))
                made.append(
                    record(
                        agent,
                        at=NOW,
                        cost_input=spent,
                        cost_output="0",
                        latency_ms=chance.randint(800, 1_600),
                        experiment_arm=str(arm.pk),
                        session=f"{session:016x}",
                        **fields,
                    )
                )
    store(*made)
    return made


def test_a_cheaper_side_is_said_to_be_cheaper_and_by_how_much(alex, bot, started):
    traffic(bot, started, sessions=400, costs=(0.010, 0.006))
    seen = results.results(started, at=LATER)
    [difference] = seen.differences[Metric.COST]
    assert (difference.found, seen.conclusion.winner, seen.sessions) == (Verdict.BETTER, 1, 800)
    speaker = Speaker(experiment=started, arms=list(started.arms.all()), results=seen)
    low, high = round(-difference.high * 100), round(-difference.low * 100)
    assert low < 40 < high < 50
    assert speaker.headline() == f"gpt-4o is {low}–{high}% cheaper; we are more than 99% sure."
    assert seen.differences[Metric.FEEDBACK][0].found is Verdict.NOTHING
    assert not seen.odd_shares


def test_too_little_says_so(bot, started):
    traffic(bot, started, sessions=20, costs=(0.010, 0.006))
    seen = results.results(started, at=LATER)
    speaker = Speaker(experiment=started, arms=list(started.arms.all()), results=seen)
    assert speaker.headline() == "Too early to say: each side needs at least 100 conversations."


def test_an_experiment_without_any_request_has_results_too(alex, started):
    shown = program_of(alex).get(f"experiments/{started.pk}/results/").json()
    assert (shown["decided"], shown["winner"], shown["sessions"], shown["needed"]) == (False, None, 0, None)
    assert [side["cost"] for side in shown["arms"]] == [None, None]


def test_results_through_the_api(alex, bot, started):
    traffic(bot, started, sessions=150, costs=(0.010, 0.004))
    shown = program_of(alex).get(f"experiments/{started.pk}/results/").json()
    today, other = started.arms.all()
    assert (shown["decided"], shown["winner"]) == (True, str(other.pk))
    assert [(side["arm"], side["sessions"]) for side in shown["arms"]] == [(str(today.pk), 150), (str(other.pk), 150)]
    assert {each["metric"] for each in shown["differences"]} == {"cost", "speed", "success", "feedback"}
    assert shown["sentence"].endswith("we are more than 99% sure.")


def test_what_a_caller_left_is_no_failure_and_what_timed_out_is(bot, started):
    arm = started.arms.get(position=0)
    common: Any = {"experiment_arm": str(arm.pk), "at": NOW}
    store(
        record(bot, session="a" * 16, **common),
        record(bot, session="a" * 16, status="client_closed", **common),
        record(bot, session="b" * 16, status="timeout", **common),
    )
    [figures, _other] = results.results(started, at=LATER).sides
    assert (figures.sessions, figures.requests, figures.success, figures.seconds) == (2, 3, 0.5, 1.2)
    assert figures.cost is None  # nobody knows the price


def test_feedback_counts_for_the_side_and_session_of_its_request(bot, started):
    made = traffic(bot, started, sessions=150, costs=(0.01, 0.01))
    first = str(started.arms.get(position=0).pk)
    for each in get_store().find([row.id for row in made]):
        keep(each, score=1.0 if each.experiment_arm != first else 0.2, at=LATER)
    seen = results.results(started, at=LATER)
    assert Feedback.objects.count() == len(made)
    [difference] = seen.differences[Metric.FEEDBACK]
    assert (difference.found, round(difference.change, 1)) == (Verdict.BETTER, 0.8)
    assert [round(side.feedback or 0, 2) for side in seen.sides] == [0.2, 1.0]


def test_what_elenas_plan_costs_us_is_not_what_she_is_told(elena):
    agent = services.create_agent(workspace=elena.workspace, name="Front Desk", by=elena.user)
    subscriptions.choose_plan(agent=agent, tier="standard", by=elena.user, at=NOW)
    sides = [Side(name="Pro"), Side(name="Starter", tier="economy")]
    started = experiments.start(agent=agent, name="", goal="cost", sides=sides, by=elena.user, at=NOW)
    on_plan = {"tier": "standard", "mode": "managed", "price_total": picodollars(Decimal("0.0075"))}
    traffic(agent, started, sessions=10, costs=(0.010, 0.001), **on_plan)
    seen = results.results(started, at=LATER)
    assert [round(side.cost or 0, 6) for side in seen.sides] == [0.0075, 0.0075]


def test_a_look_is_kept_as_it_was_and_shown_when_the_records_are_gone(alex, bot, started):
    traffic(bot, started, sessions=150, costs=(0.010, 0.004))
    experiments.end(experiment=started, by=alex.user, at=LATER)
    seen = results.look(started, at=LATER)
    get_store().forget(workspace_id=bot.workspace_id, until=LATER, before=2**60)
    assert msgspec.to_builtins(results.latest(started, at=LATER)) == msgspec.to_builtins(seen)


def end_on_the_page(person, started):
    person.client().post(f"/experiments/{started.pk}/end/")


def adopt_on_the_page(person, started):
    person.client().post(f"/experiments/{started.pk}/adopt/{started.arms.get(position=1).pk}/")


def end_by_program(person, started):
    program_of(person).patch(f"experiments/{started.pk}/", {"status": "ended"})


def adopt_by_program(person, started):
    program_of(person).patch(f"experiments/{started.pk}/", {"adopt": str(started.arms.get(position=1).pk)})


def let_its_time_pass(_person, _started):
    experiments.end_old(at=NOW + timedelta(days=91))


ENDINGS = [end_on_the_page, adopt_on_the_page, end_by_program, adopt_by_program, let_its_time_pass]


@pytest.mark.parametrize("ending", ENDINGS)
def test_however_it_ends_what_came_of_it_is_kept(alex, bot, started, ending, django_capture_on_commit_callbacks):
    traffic(bot, started, sessions=150, costs=(0.010, 0.004))
    with django_capture_on_commit_callbacks(execute=True):
        ending(alex, started)
    get_store().forget(workspace_id=bot.workspace_id, until=LATER, before=2**60)
    shown = program_of(alex).get(f"experiments/{started.pk}/results/").json()
    assert [side["sessions"] for side in shown["arms"]] == [150, 150]
    assert (shown["decided"], shown["winner"]) == (True, str(started.arms.get(position=1).pk))


def test_it_ends_also_while_the_meter_is_away(alex, started, monkeypatch, django_capture_on_commit_callbacks):
    def away(self, **_asked):
        raise StoreUnavailable

    monkeypatch.setattr("metering.store.sql.SqlStore.sessions", away)
    with django_capture_on_commit_callbacks(execute=True):
        end_by_program(alex, started)
    started.refresh_from_db()
    assert (started.over, started.looks.count()) == (True, 0)
