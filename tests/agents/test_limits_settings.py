"""How fast an agent may go: by default, as its owner wants it, and as staff allow it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.test import Client

from agents import pacing, subscriptions
from agents.models import Agent, AuditEntry, User, Workspace
from agents.pace import Pace, in_force, usual_pace
from llm.snapshot import snapshot_of
from tests.agents.program import program_of
from tests.conftest import PASSWORD, browser_of

FEBRUARY_16 = datetime(2026, 2, 16, 12, tzinfo=UTC)
A_YEAR, A_DAY = timedelta(days=365), timedelta(days=1)


@pytest.fixture
def founded(alex) -> None:
    """Alex's workspace is no new one."""
    Workspace.objects.filter(pk=alex.workspace.pk).update(created_at=FEBRUARY_16 - A_YEAR)
    alex.workspace.refresh_from_db()


@pytest.fixture
def on_pro(alex, bot, founded) -> Agent:
    subscriptions.choose_plan(agent=bot, tier="standard", by=alex.user, at=FEBRUARY_16)
    return Agent.objects.get(pk=bot.pk)


# --- Arithmetic ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tier", "age", "pace"),
    [
        (None, A_YEAR, Pace(requests=6_000, tokens=10_000_000)),
        (None, A_DAY, Pace(requests=6_000, tokens=10_000_000)),
        ("economy", A_YEAR, Pace(requests=60, tokens=200_000)),
        ("standard", A_YEAR, Pace(requests=120, tokens=400_000)),
        ("premium", A_YEAR, Pace(requests=240, tokens=800_000)),
        ("premium", A_DAY, Pace(requests=120, tokens=400_000)),
        ("economy", timedelta(days=7), Pace(requests=60, tokens=200_000)),
    ],
)
def test_the_defaults_by_mode_and_plan_and_half_of_a_plans_for_new_workspaces(tier, age, pace):
    assert usual_pace(tier, workspace_age=age) == pace


@pytest.mark.parametrize(
    ("allowed", "own", "holds"), [(120, None, 120), (120, 30, 30), (60, 100, 60), (0, None, 0), (0, 30, 30)]
)
def test_the_lower_one_holds(allowed, own, holds):
    assert in_force(allowed=allowed, own=own) == holds


# --- What is kept -------------------------------------------------------------------------------


def test_the_gateway_knows_what_holds(alex, on_pro):
    assert (snapshot(on_pro).requests_per_minute, snapshot(on_pro).tokens_per_minute) == (120, 400_000)
    pacing.set_pace(agent=on_pro, requests=10, tokens=None, by=alex.user, at=FEBRUARY_16)
    assert (snapshot(on_pro).requests_per_minute, snapshot(on_pro).tokens_per_minute) == (10, 400_000)


def test_staff_lift_a_limit_and_a_lower_plan_takes_the_rest_down(alex, on_pro):
    pacing.allow_pace(agent=on_pro, requests=0, tokens=None, by="staff")
    pacing.set_pace(agent=on_pro, requests=None, tokens=300_000, by=alex.user, at=FEBRUARY_16)
    assert on_pro.pace(FEBRUARY_16) == Pace(requests=0, tokens=300_000)
    subscriptions.choose_plan(agent=on_pro, tier="economy", by=alex.user, at=FEBRUARY_16)
    assert on_pro.pace(datetime(2026, 3, 1, tzinfo=UTC)) == Pace(requests=0, tokens=200_000)


@pytest.mark.parametrize(
    ("requests", "said"), [(121, "Give at most 120. If you need more, ask us."), (0, "Give a number of at least 1.")]
)
def test_an_owner_neither_raises_nor_lifts_it(alex, on_pro, requests, said):
    with pytest.raises(ValidationError) as refused:
        pacing.set_pace(agent=on_pro, requests=requests, tokens=None, by=alex.user, at=FEBRUARY_16)
    assert refused.value.message_dict == {"requests_per_minute": [said]}


def test_who_changed_it_is_on_record_and_the_gateway_is_told(alex, bot, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as announced:
        pacing.set_pace(agent=bot, requests=100, tokens=None, by=alex.user, at=FEBRUARY_16)
        pacing.set_pace(agent=bot, requests=100, tokens=None, by=alex.user, at=FEBRUARY_16)
    assert len(announced) == 1
    entry = AuditEntry.objects.get(action="pace.changed")
    assert entry.sentence == "limited the agent Support Bot to 100 / – requests and tokens a minute (before: – / –)"


# --- The API and the page -----------------------------------------------------------------------


def test_a_program_reads_and_lowers_them(alex, bot):
    program, url = program_of(alex), f"agents/{bot.pk}/"
    shown = program.get(url).json()
    assert (shown["requests_per_minute"], shown["tokens_per_minute"]) == (6_000, 10_000_000)
    assert program.patch(url, {"requests_per_minute": 500}).json()["requests_per_minute"] == 500
    assert program.patch(url, {"tokens_per_minute": 9_000}).json()["requests_per_minute"] == 500
    assert program.patch(url, {"requests_per_minute": None}).json()["requests_per_minute"] == 6_000
    answer = program.patch(url, {"requests_per_minute": 6_001})
    assert (answer.status_code, list(answer.json())) == (400, ["requests_per_minute"])


def test_what_is_sent_back_as_it_was_read_changes_nothing(alex, bot):
    program, url = program_of(alex), f"agents/{bot.pk}/"
    shown = program.get(url).json()
    assert program.patch(url, {"requests_per_minute": shown["requests_per_minute"]}).status_code == 200
    bot.refresh_from_db()
    assert bot.requests_per_minute is None


def test_alex_lowers_them_on_the_agents_page(alex, bot):
    browser = alex.client()
    assert "At most 6,000." in browser.get(f"/agents/{bot.pk}/").content.decode()
    answer = browser.post(f"/agents/{bot.pk}/pace/", {"requests_per_minute": "60", "tokens_per_minute": ""})
    assert answer.status_code == 302
    bot.refresh_from_db()
    assert (bot.requests_per_minute, bot.tokens_per_minute) == (60, None)


def test_more_than_is_allowed_is_refused_on_the_page(alex, bot):
    answer = alex.client().post(f"/agents/{bot.pk}/pace/", {"requests_per_minute": "7000"})
    assert answer.status_code == 422
    assert "Give at most 6,000. If you need more, ask us." in answer.content.decode()


def test_elena_has_nothing_to_change_of_alexs(elena, bot):
    assert elena.client().post(f"/agents/{bot.pk}/pace/", {"requests_per_minute": "1"}).status_code == 404


# --- Staff --------------------------------------------------------------------------------------


def staff_browser(*permissions: str) -> Client:
    user = User.objects.create_user("staff@vutler.example", PASSWORD, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return browser_of(user)


def test_staff_allow_more_on_the_record(bot):
    browser = staff_browser("view_agent", "change_agent")
    url = f"/admin/agents/agent/{bot.pk}/allow-pace/"
    assert "0 for no limit" in browser.get(url).content.decode()
    answer = browser.post(url, {"requests": "0", "tokens": "20000000", "_form_submitted": "on"})
    assert answer.headers["hx-redirect"] == f"/admin/agents/agent/{bot.pk}/change/"
    bot.refresh_from_db()
    assert bot.pace(FEBRUARY_16) == Pace(requests=0, tokens=20_000_000)
    assert AuditEntry.objects.get(action="pace.allowed").actor == "staff@vutler.example"


def test_whoever_may_only_look_allows_nothing(bot):
    browser = staff_browser("view_agent")
    url = f"/admin/agents/agent/{bot.pk}/allow-pace/"
    assert browser.post(url, {"requests": "0", "_form_submitted": "on"}).status_code == 403


def snapshot(agent):
    return snapshot_of(Agent.objects.get(pk=agent.pk), at=FEBRUARY_16)
