"""A program puts agents on plans, moves them, and takes them off again."""

from datetime import UTC, datetime

import pytest

from agents import services
from agents.models import Agent, AuditEntry, PlanStay
from tests.agents.program import Program, program_of

FEBRUARY_16 = datetime(2026, 2, 16, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def february(time_machine):
    time_machine.move_to(FEBRUARY_16, tick=False)
    return time_machine


@pytest.fixture
def program(alex) -> Program:
    return program_of(alex)


def plan_of(answer):
    assert answer.status_code in {200, 201}, answer.json()
    shown = answer.json()
    return [shown[name] for name in ("mode", "tier", "next_tier", "changes_on", "overage_ceiling")]


def test_an_agent_is_made_on_a_plan(program):
    answer = program.post("agents/", {"name": "Bot", "template": "faq-bot", "mode": "managed", "tier": "economy"})
    assert plan_of(answer) == ["managed", "economy", None, None, "5.00"]
    assert plan_of(program.get(f"agents/{answer.json()['id']}/")) == ["managed", "economy", None, None, "5.00"]
    assert [(stay.tier, stay.starts_at) for stay in PlanStay.objects.all()] == [("economy", FEBRUARY_16)]


def test_up_at_once_down_and_away_on_the_first(program, bot, february):
    url = f"agents/{bot.pk}/"
    assert plan_of(program.patch(url, {"mode": "managed", "tier": "economy"}))[:2] == ["managed", "economy"]
    assert plan_of(program.patch(url, {"tier": "premium"}))[1:4] == ["premium", None, None]
    first = "2026-03-01T00:00:00Z"
    assert plan_of(program.patch(url, {"tier": "standard"}))[:4] == ["managed", "premium", "standard", first]
    assert plan_of(program.patch(url, {"mode": "byokey"}))[:4] == ["managed", "premium", None, first]
    february.move_to(datetime(2026, 3, 1, tzinfo=UTC), tick=False)
    assert plan_of(program.get(url)) == ["byokey", None, None, None, None]
    assert program.get(url).json()["key_hint"] == "sk-…wxyz"


def test_naming_the_plan_it_is_on_calls_off_what_was_ahead(program, bot):
    url = f"agents/{bot.pk}/"
    program.patch(url, {"mode": "managed", "tier": "standard"})
    for gone in ({"mode": "byokey"}, {"tier": "economy"}):
        assert plan_of(program.patch(url, gone))[3] == "2026-03-01T00:00:00Z"
        assert plan_of(program.patch(url, {"mode": "managed"}))[:4] == ["managed", "standard", None, None]


def test_the_ceiling_is_raised_lowered_closed_and_given_back(program, bot):
    url = f"agents/{bot.pk}/"
    program.patch(url, {"mode": "managed", "tier": "standard"})
    for given, shown in (("25.00", "25.00"), ("0", "0.00"), ("2.5", "2.50"), (None, "10.00")):
        assert plan_of(program.patch(url, {"overage_ceiling": given}))[4] == shown
    assert AuditEntry.objects.filter(action="ceiling.changed", actor__startswith="vtl_ws_").count() == 4


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"mode": "managed"}, "tier", "Choose a plan: economy, standard or premium."),
        ({"tier": "economy"}, "mode", 'Send the mode "managed" too'),
        ({"mode": "byokey", "tier": "economy"}, "tier", "has no plan"),
        ({"mode": "managed", "tier": "platinum"}, "tier", "is not a valid choice"),
        ({"overage_ceiling": "-1"}, "overage_ceiling", "greater than or equal to 0"),
        ({"overage_ceiling": "1.005"}, "overage_ceiling", "no more than 2 decimal places"),
        ({"overage_ceiling": "999999"}, "overage_ceiling", "between $0 and $100,000"),
    ],
)
def test_what_does_not_go_together_is_refused_by_field(program, bot, asked, field, said):
    answer = program.patch(f"agents/{bot.pk}/", {"name": "Renamed", **asked})
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert said in answer.json()[field][0]
    assert Agent.objects.get(pk=bot.pk).name == "Support Bot"
    assert not PlanStay.objects.exists()


def test_no_tier_is_no_way_out_of_a_plan(program, bot):
    program.patch(f"agents/{bot.pk}/", {"mode": "managed", "tier": "economy"})
    answer = program.patch(f"agents/{bot.pk}/", {"tier": None})
    assert (answer.status_code, list(answer.json())) == (400, ["tier"])


def test_what_says_nothing_new_changes_nothing(program, bot):
    shown = program.patch(f"agents/{bot.pk}/", {"mode": "byokey", "tier": None, "overage_ceiling": None})
    assert plan_of(shown) == ["byokey", None, None, None, None]
    assert not AuditEntry.objects.filter(actor__startswith="vtl_ws_").exists()


def test_maya_cannot_put_alexs_agent_on_a_plan(maya, bot):
    answer = program_of(maya).patch(f"agents/{bot.pk}/", {"mode": "managed", "tier": "premium"})
    assert answer.status_code == 404
    assert not PlanStay.objects.exists()


def test_a_list_asks_for_all_plans_at_once(program, alex, django_assert_max_num_queries):
    for number in range(5):
        agent = services.create_agent(workspace=alex.workspace, name=f"Bot {number}", by=alex.user)
        program.patch(f"agents/{agent.pk}/", {"mode": "managed", "tier": "economy"})
    with django_assert_max_num_queries(8):
        shown = program.get("agents/").json()["results"]
    assert {each["tier"] for each in shown} == {"economy"}
