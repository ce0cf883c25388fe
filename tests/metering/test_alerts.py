"""Alerts are told once: whatever the order of records, however often and by however many it is looked."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.mail.backends.locmem import EmailBackend
from django.db import connections
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from agents import services as agents
from agents import subscriptions
from agents.models import Agent, AuditEntry, Member, Role, User
from metering import alerts, rollups, tasks
from metering.alerting import listing, sending, services, watching, words
from metering.alerts import Rule, Seen
from metering.models import Alert, Delivery, Occasion
from tests.agents.test_agent_pages import page
from tests.metering.alerting import set_up, wish
from tests.metering.conftest import NOW
from tests.metering.records import record, store
from tests.metering.test_notices import TECHNICAL

pytestmark = pytest.mark.usefixtures("february")

MILLION = 1_000_000


def on_plan(agent: Agent, tokens: int, **fields) -> None:
    ordinary = {"tier": "economy", "mode": "managed", "tokens_input": tokens, "tokens_output": 0}
    store(record(agent, **{"at": NOW, **ordinary, **fields}))


def used(agent: Agent, tokens: int, **fields) -> None:
    store(record(agent, **{"at": NOW, "tokens_input": tokens, "tokens_output": 0, **fields}))


def look(at: datetime = NOW) -> list[str]:
    """Roll up and look as the job does each minute; return what has been told until now."""
    rollups.roll_up()
    watching.watch(at=at)
    told = Occasion.objects.order_by("pk")
    return [words.headline(words.facts_of(each)) for each in told]


# --- when there is something to tell ------------------------------------------------------------


def rule(metric: str, threshold: int | str, unit: str = "absolute", **fields) -> Rule:
    return Rule(metric=metric, unit=unit, threshold=Decimal(threshold), **fields)


@pytest.mark.parametrize(
    ("watched", "just_not", "just"),
    [
        (rule("tokens", 1_000), Seen(tokens=999), Seen(tokens=1_000)),
        (rule("cost", "50.00"), Seen(cost=Decimal("49.999999999999")), Seen(cost=Decimal(50))),
        (rule("price", "18.50"), Seen(price=Decimal("18.49")), Seen(price=Decimal("18.50"))),
        (
            rule("tokens", 80, "percent"),
            Seen(managed_tokens=1_599_999, included=2 * MILLION),
            Seen(managed_tokens=1_600_000, included=2 * MILLION),
        ),
        (rule("error_rate", 5, "percent"), Seen(requests=100, failed=4), Seen(requests=100, failed=5)),
    ],
)
def test_a_threshold_is_reached_to_the_last_digit(watched, just_not, just):
    assert not alerts.reached(watched, just_not)
    assert alerts.reached(watched, just)
    assert alerts.reached(watched, alerts.sample(watched))


def test_too_few_requests_say_nothing():
    watched = rule("error_rate", 5, "percent", minimum_requests=20)
    assert not alerts.reached(watched, Seen(requests=19, failed=19))
    assert alerts.reached(watched, Seen(requests=20, failed=1))


def test_without_a_plan_there_is_no_share_of_one():
    assert not alerts.reached(rule("tokens", 1, "percent"), Seen(tokens=MILLION))


def test_a_figure_is_never_rounded_up_to_its_threshold():
    told = alerts.facts(rule("tokens", 80, "percent"), Seen(managed_tokens=1_599_999, included=2 * MILLION))
    assert told.value == Decimal("79.99")


def test_waits_grow_and_end():
    assert [alerts.next_wait(attempts) for attempts in range(1, 7)] == [
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=6),
        None,
    ]


def test_what_may_pass_is_tried_again():
    assert all(alerts.answered(status).delivered for status in (200, 202, 204))
    assert all(alerts.answered(status).may_pass for status in (408, 425, 429, 500, 503, 599))
    assert not any(alerts.answered(status).may_pass for status in (200, 301, 302, 307, 400, 401, 403, 404, 410))


# --- once ---------------------------------------------------------------------------------------


def test_each_kind_is_told_in_its_own_words(alex, bot, elena, helpdesk):
    set_up(alex, 3_000, agent_id=bot.pk)
    set_up(alex, 3_000)
    set_up(alex, "0.50", metric="cost", agent_id=bot.pk)
    set_up(alex, 50, metric="error_rate", unit="percent", minimum_requests=2, window_hours=1)
    set_up(elena, 80, unit="percent", agent_id=helpdesk.pk)
    set_up(elena, "8.50", metric="price")
    used(bot, 2_000, cost_input="0.4", cost_output="0.2")
    used(bot, 1_000, status="timeout")
    on_plan(helpdesk, 1_720_000, price_total=8_600_000_000_000)
    assert sorted(look()) == [
        "50% of your agents’ requests failed in the last 1 h",
        "Helpdesk has used 86% of this month’s plan",
        "Support Bot has cost about $0.60 at its provider this month",
        "Support Bot has used 3k tokens this month",
        "Your agents have used $8.60 at list price this month",
        "Your agents have used 3k tokens this month",
    ]


def test_a_month_is_told_once_and_the_next_one_again(alex, bot):
    set_up(alex, 1_000)
    used(bot, 1_000)
    assert len(look()) == 1
    used(bot, 5_000)
    assert len(look(NOW + timedelta(days=1))) == 1
    march = datetime(2026, 3, 1, tzinfo=UTC)
    assert len(look(march)) == 1
    used(bot, 1_000, at=march)
    assert len(look(march)) == 2


def test_a_late_record_counts_for_its_own_month_alone(alex, bot):
    set_up(alex, 1_000)
    used(bot, 1_000, at=datetime(2026, 1, 31, 23, 59, tzinfo=UTC))
    assert look() == []


def test_errors_are_told_once_a_day_and_of_the_last_hours_alone(alex, bot):
    set_up(alex, 10, metric="error_rate", unit="percent", minimum_requests=2, window_hours=6)
    for hours in (7, 8, 9):
        used(bot, 1, at=NOW - timedelta(hours=hours), status="provider_error")
    assert look() == []
    used(bot, 1, at=NOW - timedelta(hours=5), status="provider_error")
    used(bot, 1, status="client_closed")
    assert look() == ["50% of your agents’ requests failed in the last 6 h"]
    assert len(look(NOW + timedelta(hours=3))) == 1
    tomorrow = NOW + timedelta(days=1)
    for _ in range(2):
        used(bot, 1, at=tomorrow, status="unreachable")
    assert len(look(tomorrow)) == 2


def test_an_alert_that_is_changed_tells_the_same_only_once(alex, bot):
    alert = set_up(alex, 1_000)
    used(bot, 3_000)
    look()
    for threshold in (2_000, 1_000):
        services.change_alert(alert=alert, workspace=alex.workspace, wish=wish(threshold), by=alex.user)
        look()
    assert sorted(Occasion.objects.values_list("mark", flat=True)) == [
        "tokens/absolute/1000/all",
        "tokens/absolute/2000/all",
    ]


def test_a_paused_alert_and_a_deleted_agent_say_nothing(alex, bot):
    paused, _of_bot = set_up(alex, 1_000), set_up(alex, 1_000, agent_id=bot.pk)
    services.pause(alert=paused, workspace=alex.workspace, by=alex.user, at=NOW)
    used(bot, 1_000)
    agents.delete_agent(agent=bot, by=alex.user)
    assert look() == []


def test_somebody_elses_use_is_not_counted(alex, bot, elena, helpdesk):
    set_up(elena, 1_000)
    used(bot, 5_000)
    assert look() == []


def test_all_agents_together_are_measured_by_all_their_plans(elena, helpdesk):
    other = agents.create_agent(workspace=elena.workspace, name="Writer", by=elena.user)
    subscriptions.choose_plan(agent=other, tier="economy", by=elena.user, at=NOW)
    set_up(elena, 50, unit="percent")
    on_plan(helpdesk, 1_900_000)
    assert look() == []
    on_plan(other, 100_000)
    assert look() == ["Your agents have used 50% of this month’s plans"]


def test_what_a_plan_covers_costs_nothing_at_a_provider(elena, helpdesk):
    set_up(elena, "0.01", metric="cost")
    on_plan(helpdesk, 1_000, cost_input="5", cost_output="5")
    assert look() == []


@hypothesis(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    looks=st.lists(st.booleans(), min_size=8, max_size=8),
    order=st.randoms(use_true_random=False),
)
def test_any_order_and_any_split_tells_each_threshold_once(alex, sizes, looks, order):
    Alert.objects.all().delete()
    bot = agents.create_agent(workspace=alex.workspace, name="Bot", by=alex.user)
    for threshold in (10, 50, 100):
        set_up(alex, threshold, agent_id=bot.pk)
    records = [
        record(bot, at=NOW - timedelta(hours=at), tokens_input=size, tokens_output=0) for at, size in enumerate(sizes)
    ]
    order.shuffle(records)
    for each, looked in zip(records, looks, strict=False):
        store(each)
        if looked:
            look()
    look()
    reached = [threshold for threshold in (10, 50, 100) if sum(sizes) >= threshold]
    told = sorted(int(words.facts_of(each).threshold) for each in Occasion.objects.all())
    assert told == reached
    assert Delivery.objects.count() == len(reached)


@pytest.mark.django_db(transaction=True)
def test_two_who_look_and_two_who_send_at_once_tell_it_once(elena, helpdesk):
    set_up(elena, 80, unit="percent", by_email=True)
    on_plan(helpdesk, 1_700_000)
    rollups.roll_up()
    gate = threading.Barrier(4)

    def at_once(job) -> None:
        gate.wait()
        try:
            job()
        finally:
            connections.close_all()

    def all_at_once(job) -> None:
        threads = [threading.Thread(target=at_once, args=[job]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    all_at_once(lambda: watching.watch(at=NOW))
    assert sorted(Delivery.objects.values_list("channel", flat=True)) == ["email", "page"]
    [waiting] = sending.due(at=NOW)
    all_at_once(lambda: sending.deliver(delivery_id=waiting, at=NOW))
    assert len(mail.outbox) == 1


# --- by e-mail ----------------------------------------------------------------------------------


def test_the_job_each_minute_brings_it_to_elena_in_her_words(elena, helpdesk):
    set_up(elena, 80, unit="percent", by_email=True)
    on_plan(helpdesk, 1_720_000)
    tasks.roll_up()
    tasks.roll_up()
    alert = Alert.objects.get()
    # The plan's own notice is there as well.
    [message] = [each for each in mail.outbox if "86%" in str(each.subject)]
    assert str(message.subject) == "Your agents have used 86% of this month’s plans"
    assert "This alert is set to 80%." in str(message.body)
    assert f"http://localhost/alerts/{alert.pk}/" in str(message.body)
    said = f"{message.subject} {message.body}".replace("your agents’ language models, counted to the token", "")
    assert not [word for word in TECHNICAL if word.lower() in said.lower()]
    html, kind = message.alternatives[0]  # type: ignore[attr-defined]
    assert kind == "text/html"
    assert "86%" in str(html)


def test_owners_and_who_set_it_up_are_written_to_each_in_their_language(elena, helpdesk):
    for name, role, language in (("pierre", Role.OWNER, "fr"), ("bea", Role.BILLING, ""), ("max", Role.MEMBER, "")):
        user = User.objects.create_user(f"{name}@elena.example", language=language)
        Member.objects.create(workspace=elena.workspace, user=user, role=role)
    services.create_alert(workspace=elena.workspace, wish=wish(80, unit="percent", by_email=True), by=user)
    on_plan(helpdesk, 1_700_000)
    look()
    for each in sending.due(at=NOW):
        sending.deliver(delivery_id=each, at=NOW)
    told = {message.to[0]: str(message.subject) for message in mail.outbox}
    assert sorted(told) == ["elena@elena.example", "max@elena.example", "pierre@elena.example"]
    assert "formules" in told["pierre@elena.example"]


def test_what_could_not_be_mailed_is_mailed_later(elena, helpdesk, monkeypatch):
    def refuse(*_args):
        raise ConnectionRefusedError

    set_up(elena, 80, unit="percent", by_email=True, on_page=False)
    on_plan(helpdesk, 1_700_000)
    look()
    [waiting] = sending.due(at=NOW)
    with monkeypatch.context() as broken:
        broken.setattr(EmailBackend, "send_messages", refuse)
        sending.deliver(delivery_id=waiting, at=NOW)
    assert (sending.due(at=NOW), len(mail.outbox)) == ([], 0)
    later = NOW + timedelta(minutes=1)
    assert sending.due(at=later) == [waiting]
    sending.deliver(delivery_id=waiting, at=later)
    sending.deliver(delivery_id=waiting, at=later)
    assert len(mail.outbox) == 1
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.outcome) == ("delivered", 2, "delivered")


def test_an_agent_cannot_add_headers_by_its_name(elena, helpdesk):
    agents.change_agent(agent=helpdesk, by=elena.user, name="Bot\r\nBcc: all@evil.example")
    alert = set_up(elena, 80, unit="percent", agent_id=helpdesk.pk, by_email=True)
    sending.test(alert=alert, channel="email", at=NOW)
    assert str(mail.outbox[0].subject) == "[Test] Bot Bcc: all@evil.example has used 80% of this month’s plan"


# --- on the pages -------------------------------------------------------------------------------


def test_the_pages_say_it_until_it_is_closed_and_nobody_closes_somebody_elses(elena, alex, helpdesk):
    set_up(elena, 40, unit="percent", agent_id=helpdesk.pk)
    on_plan(helpdesk, 900_000)
    look()
    browser = elena.client()
    for path in ("/agents/", f"/agents/{helpdesk.pk}/", "/usage/", f"/usage/{helpdesk.pk}/"):
        assert "Helpdesk has used 45% of this month’s plan" in page(browser.get(path))
    close = f"/alerts/notices/{Delivery.objects.get().pk}/dismiss/"
    assert alex.client().post(close).status_code == 404
    assert browser.get(close).status_code == 405
    assert browser.post(close, {"next": "//evil.example/"})["Location"] == "/alerts/"
    assert "45%" not in page(browser.get("/agents/"))


def test_a_notice_goes_with_its_month(elena, helpdesk):
    set_up(elena, 40, unit="percent")
    on_plan(helpdesk, 900_000)
    look()
    march = datetime(2026, 3, 1, tzinfo=UTC)
    assert len(listing.open_notices(workspace_id=elena.workspace.pk, at=NOW)) == 1
    assert listing.open_notices(workspace_id=elena.workspace.pk, at=march) == []


# --- what may be wished -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wished", "field"),
    [
        ({"threshold": 0}, "threshold"),
        ({"threshold": -5}, "threshold"),
        ({"threshold": "1.5"}, "threshold"),
        ({"threshold": "0.001", "metric": "cost"}, "threshold"),
        ({"threshold": 10**13}, "threshold"),
        ({"threshold": 101, "metric": "error_rate", "unit": "percent"}, "threshold"),
        ({"threshold": 5, "metric": "error_rate"}, "unit"),
        ({"threshold": 5, "metric": "cost", "unit": "percent"}, "unit"),
        ({"threshold": 5, "window_hours": 169}, "window_hours"),
        ({"threshold": 5, "minimum_requests": 0}, "minimum_requests"),
        ({"threshold": 5, "on_page": False}, "channels"),
        ({"threshold": 5, "by_webhook": True}, "webhook_url"),
        ({"threshold": 5, "webhook_url": "ftp://hooks.example.com/"}, "webhook_url"),
    ],
)
def test_what_cannot_be_watched_or_told_is_refused(alex, wished, field):
    with pytest.raises(ValidationError) as refused:
        set_up(alex, **wished)
    assert list(refused.value.error_dict) == [field]
    assert not Alert.objects.exists()


def test_somebody_elses_agent_is_no_agent(elena, bot):
    with pytest.raises(ValidationError) as refused:
        set_up(elena, 5, agent_id=bot.pk)
    assert list(refused.value.error_dict) == ["agent"]


def test_there_is_an_end_to_alerts(alex, monkeypatch):
    monkeypatch.setattr(services, "ALERTS_AT_MOST", 1)
    set_up(alex, 5)
    with pytest.raises(ValidationError):
        set_up(alex, 6)


def test_who_changed_what_is_in_the_audit_trail(alex):
    alert = set_up(alex, 5_000)
    services.change_alert(alert=alert, workspace=alex.workspace, wish=wish(6_000), by=alex.user)
    services.pause(alert=alert, workspace=alex.workspace, by=alex.user, at=NOW)
    services.resume(alert=alert, workspace=alex.workspace, by=alex.user)
    services.delete_alert(alert=alert, workspace=alex.workspace, by=alex.user)
    entries = AuditEntry.objects.filter(action__startswith="alert.").order_by("pk")
    assert [entry.sentence for entry in entries] == [
        "set up the alert “All agents together: 5k tokens a month” (page)",
        "changed the alert “All agents together: 6k tokens a month” (page)",
        "paused the alert “All agents together: 6k tokens a month”",
        "resumed the alert “All agents together: 6k tokens a month”",
        "deleted the alert “All agents together: 6k tokens a month”",
    ]


def test_old_occasions_are_forgotten(alex, bot):
    set_up(alex, 1_000)
    used(bot, 1_000)
    look()
    watching.forget_old(at=NOW + timedelta(days=99))
    assert Delivery.objects.count() == 1
    tasks.forget_alerts()
    watching.forget_old(at=NOW + timedelta(days=101))
    assert not Delivery.objects.exists()
