"""Elena is told in time what her agents have used: once, in plain words, and nothing in a request's way."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.locmem import EmailBackend

from agents import services, subscriptions
from agents.models import Agent, Member, Role, User
from llm.limits import Counted
from llm.owners import Owners
from llm.snapshot import snapshot_of
from metering import notices, rollups, tasks
from metering.models import Notice
from metering.thresholds import Thresholds
from tests.agents.test_agent_pages import page
from tests.llm.gateway import TOKEN, on_plan
from tests.metering.conftest import NOW
from tests.metering.records import record, store

pytestmark = pytest.mark.usefixtures("february")

MILLION = 1_000_000
# What no owner on a plan should have to read.
TECHNICAL = ("token", "model", "provider", "API", "LLM", "request")


def used(agent: Agent, tokens: int, *, refused: bool = False, at: datetime = NOW) -> None:
    notices.tell(agent_id=agent.pk, used=tokens, at=at, refused=refused)


def subjects() -> list[str]:
    return [str(message.subject) for message in mail.outbox]


def test_thresholds_are_reached_to_the_token():
    thresholds = Thresholds(included=5, most=7)
    assert thresholds.marks() == [("50", 3), ("80", 4), ("100", 5), ("ceiling", 7)]
    assert [len(thresholds.reached(tokens)) for tokens in range(8)] == [0, 0, 0, 1, 2, 3, 3, 4]


def test_each_threshold_is_told_once(elena, helpdesk):
    for tokens in (
        999_999,
        1 * MILLION,
        1_200_000,
        1_600_000,
        1_999_999,
        2 * MILLION,
        3 * MILLION,
        4_500_000,
        4_500_001,
    ):
        used(helpdesk, tokens)
        used(helpdesk, tokens)
    assert subjects() == [
        "Helpdesk has used half of this month’s plan",
        "Helpdesk has used 80% of this month’s plan",
        "Helpdesk has used all of this month’s plan",
        "Helpdesk has reached its limit for this month",
    ]
    assert {tuple(message.to) for message in mail.outbox} == {("elena@elena.example",)}


def test_the_words_are_elenas(helpdesk):
    for tokens in (1 * MILLION, 1_600_000, 2 * MILLION, 4_500_000):
        used(helpdesk, tokens)
    half, _most, everything, limit = (str(message.body) for message in mail.outbox)
    assert "Nothing to do: it goes on working." in half
    assert "up to your limit of $5 this month; then it stops until March 1" in everything
    assert "It doesn’t answer any more until March 1" in limit
    assert f"Raise the limit: http://localhost/agents/{helpdesk.pk}/#plan" in limit
    assert f"Choose a bigger plan: http://localhost/agents/{helpdesk.pk}/plan/" in limit
    for message in mail.outbox:
        said = f"{message.subject} {message.body}".replace("your agents’ language models, counted to the token", "")
        assert not [word for word in TECHNICAL if word.lower() in said.lower()]
        assert isinstance(message, EmailMultiAlternatives)
        html, kind = message.alternatives[0]
        assert kind == "text/html"
        assert str(message.subject) in str(html)


def test_every_owner_reads_it_in_their_language_and_nobody_else_does(elena, helpdesk):
    for name, role, language in (("pierre", Role.OWNER, "fr"), ("bea", Role.BILLING, ""), ("max", Role.MEMBER, "")):
        user = User.objects.create_user(f"{name}@elena.example", language=language)
        Member.objects.create(workspace=elena.workspace, user=user, role=role)
    used(helpdesk, 1 * MILLION)
    assert sorted(message.to[0] for message in mail.outbox) == ["elena@elena.example", "pierre@elena.example"]


def test_who_passes_two_in_one_step_is_told_of_the_higher_one(elena, helpdesk):
    used(helpdesk, 1_700_000)
    used(helpdesk, 1_700_000)
    assert subjects() == ["Helpdesk has used 80% of this month’s plan"]
    assert "half of" not in page(elena.client().get("/agents/"))


def test_a_new_month_begins_anew(helpdesk):
    used(helpdesk, 1 * MILLION)
    with time_machine.travel(NOW + timedelta(days=28), tick=False):
        used(helpdesk, 1 * MILLION, at=NOW + timedelta(days=28))
    assert len(mail.outbox) == 2


def test_without_room_for_extra_use_the_plan_is_the_limit(elena, helpdesk):
    subscriptions.set_ceiling(agent=helpdesk, ceiling=Decimal(0), by=elena.user)
    used(helpdesk, 1_600_000)
    used(helpdesk, 2 * MILLION)
    assert subjects()[-1] == "Helpdesk has reached its limit for this month"
    assert len(mail.outbox) == 2
    assert "Once the plan is used up, it stops until March 1" in str(mail.outbox[0].body)


def test_on_the_largest_plan_there_is_no_bigger_one(elena, helpdesk):
    subscriptions.choose_plan(agent=helpdesk, tier="premium", by=elena.user, at=NOW)
    used(helpdesk, 14 * MILLION)
    assert "raise its limit." in str(mail.outbox[0].body)
    assert "bigger plan" not in str(mail.outbox[0].body)


def test_a_refusal_near_the_limit_is_the_limit_and_a_huge_request_is_not(helpdesk):
    used(helpdesk, 100_000, refused=True)
    assert not mail.outbox
    used(helpdesk, 4_400_000, refused=True)
    assert subjects() == ["Helpdesk has reached its limit for this month"]


def test_on_a_key_of_ones_own_there_is_nothing_to_tell(bot):
    used(bot, 99 * MILLION)
    assert not mail.outbox


# --- on the pages -------------------------------------------------------------------------------


def test_the_pages_say_it_until_it_is_closed(elena, helpdesk):
    browser = elena.client()
    used(helpdesk, 4_500_000)
    for path in ("/agents/", f"/agents/{helpdesk.pk}/", "/usage/", f"/usage/{helpdesk.pk}/"):
        html = page(browser.get(path))
        assert "Helpdesk has reached its limit for this month" in html
        assert f'href="/agents/{helpdesk.pk}/#plan"' in html
        assert f'href="/agents/{helpdesk.pk}/plan/"' in html
    notice = Notice.objects.get(kind="ceiling")
    answer = browser.post(f"/usage/notices/{notice.pk}/dismiss/", {"next": "/agents/"})
    assert (answer.status_code, answer["Location"]) == (302, "/agents/")
    assert "has reached" not in page(browser.get("/agents/"))
    used(helpdesk, 4_600_000)
    assert "has used" not in page(browser.get("/agents/"))


def test_a_notice_goes_with_its_month(elena, helpdesk):
    used(helpdesk, 1 * MILLION)
    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC), tick=False):
        assert "half of" not in page(elena.client().get("/agents/"))


def test_a_bigger_plan_takes_the_notice_away_and_is_measured_afresh(elena, helpdesk):
    used(helpdesk, 1_700_000)
    subscriptions.choose_plan(agent=helpdesk, tier="standard", by=elena.user, at=NOW)
    assert "has used" not in page(elena.client().get("/agents/"))
    used(helpdesk, 2_500_000)
    assert subjects()[-1] == "Helpdesk has used half of this month’s plan"


def test_a_raised_limit_is_another_one(elena, helpdesk):
    used(helpdesk, 4_500_000)
    subscriptions.set_ceiling(agent=helpdesk, ceiling=Decimal(10), by=elena.user)
    assert "reached" not in page(elena.client().get("/agents/"))
    used(helpdesk, 7 * MILLION)
    assert subjects().count("Helpdesk has reached its limit for this month") == 2


def test_nobody_closes_somebody_elses(elena, alex, helpdesk):
    used(helpdesk, 1 * MILLION)
    notice = Notice.objects.get()
    assert alex.client().post(f"/usage/notices/{notice.pk}/dismiss/").status_code == 404
    assert elena.client().get(f"/usage/notices/{notice.pk}/dismiss/").status_code == 405
    answer = elena.client().post(f"/usage/notices/{notice.pk}/dismiss/", {"next": "//evil.example/"})
    assert answer["Location"] == "/usage/"


# --- the safety net -----------------------------------------------------------------------------


def test_each_minute_makes_up_for_what_a_process_took_with_it(helpdesk):
    store(record(helpdesk, at=NOW, tier="economy", mode="managed", tokens_input=1_600_000, tokens_output=0))
    tasks.roll_up()
    tasks.roll_up()
    assert subjects() == ["Helpdesk has used 80% of this month’s plan"]


def test_what_could_not_be_sent_is_sent_later(helpdesk, monkeypatch):
    def refuse(*_args):
        raise ConnectionRefusedError

    with monkeypatch.context() as broken:
        broken.setattr(EmailBackend, "send_messages", refuse)
        used(helpdesk, 1 * MILLION)
    notices.tell_all(at=NOW + timedelta(minutes=1))
    assert not mail.outbox  # somebody may still be at it
    notices.tell_all(at=NOW + timedelta(minutes=11))
    notices.tell_all(at=NOW + timedelta(minutes=12))
    assert len(mail.outbox) == 1


def test_one_whose_mail_fails_does_not_keep_the_others_from_theirs(elena, helpdesk, monkeypatch):
    other = services.create_agent(workspace=elena.workspace, name="Writer", by=elena.user)
    subscriptions.choose_plan(agent=other, tier="economy", by=elena.user, at=NOW)
    for agent in (helpdesk, other):
        store(record(agent, at=NOW, tier="economy", mode="managed", tokens_input=1 * MILLION))
    rollups.roll_up()
    send = EmailBackend.send_messages

    def fail_once(backend, messages):
        monkeypatch.setattr(EmailBackend, "send_messages", send)
        raise ConnectionRefusedError

    monkeypatch.setattr(EmailBackend, "send_messages", fail_once)
    notices.tell_all(at=NOW)
    assert len(mail.outbox) == 1


# --- from the gateway ---------------------------------------------------------------------------


def test_a_snapshot_knows_its_marks(helpdesk):
    plan = snapshot_of(helpdesk, at=NOW).plan
    assert plan is not None
    assert plan.marks == (1 * MILLION, 1_600_000, 2 * MILLION, 4_500_000)


def test_only_what_crosses_a_mark_is_told():
    told: list[tuple[str, int | None]] = []
    owners = Owners(tell=lambda agent_id, tokens: told.append((agent_id, tokens)))
    agent = on_plan(most_tokens=100, marks=(50, 80, 100))
    for before, after in ((0, 49), (49, 50), (50, 79), (79, 81), (81, 99), (99, 120), (120, 130)):
        owners.counted(agent, Counted(before=before, after=after))
    owners.refused(agent, "2026-02")
    owners.refused(agent, "2026-02")
    owners.refused(agent, "2026-03")
    owners.close()
    assert [tokens for _agent, tokens in told] == [50, 81, 120, None, None]


async def test_the_gateway_answers_whatever_becomes_of_the_notice(house, echo, settings, owners_told):
    settings.PROVIDER_BASE_URL = lambda provider, _default: echo.url(provider)
    house.arranged.tier("economy", ("minimax", "MiniMax-M2.5"))
    house.agents[TOKEN] = on_plan(most_tokens=2_000, marks=(5, 2_000))
    body = {"messages": [{"role": "user", "content": "one two three four"}]}
    assert (await house.call(body)).status == 200
    house.used[house.agents[TOKEN].agent_id] = 0
    assert (await house.call({**body, "max_tokens": 5_000})).status == 402
    async with asyncio.timeout(20):
        while len(owners_told) < 2:
            await asyncio.sleep(0.01)
    assert owners_told == [10, None]
