"""Alerts through the management API."""

import pytest

from agents.models import AuditEntry
from metering.models import Alert
from tests.agents.program import Program, program_of
from tests.metering.alerting import set_up
from tests.metering.conftest import NOW
from tests.metering.records import record, store
from tests.metering.test_alert_webhooks import receiver
from tests.metering.test_alerts import look

pytestmark = pytest.mark.usefixtures("february")


@pytest.fixture
def program(alex) -> Program:
    return program_of(alex)


def test_a_program_sets_an_alert_up_and_gets_the_secret_once(program, bot):
    with receiver(200) as hook:
        answer = program.post(
            "alerts/",
            {"agent": str(bot.pk), "metric": "cost", "threshold": "50", "channels": ["email", "webhook"]}
            | {"webhook_url": hook.url},
        )
        assert answer.status_code == 201, answer.json()
        shown = answer.json()
        secret = shown.pop("webhook_secret")
        assert secret.startswith("whsec_")
        assert shown == {
            "id": str(Alert.objects.get().pk),
            "agent": str(bot.pk),
            "metric": "cost",
            "unit": "absolute",
            "threshold": "50.00",
            "window_hours": 24,
            "minimum_requests": 20,
            "channels": ["email", "webhook"],
            "webhook_format": "vutler",
            "webhook_host": "127.0.0.1",
            "paused": False,
            "reached_at": None,
            "created_at": "2026-02-16T12:00:00Z",
        }
        path = f"alerts/{shown['id']}/"
        assert program.get(path).json() == {**shown, "webhook_secret": None}
        assert program.patch(path, {"threshold": "60"}).json()["webhook_secret"] is None
        renewed = program.patch(path, {"webhook_url": hook.url}).json()["webhook_secret"]
        assert renewed not in {None, secret}
        tested = program.post(f"{path}test/", {"channel": "webhook"}).json()
    assert (tested["state"], tested["status"], tested["test"], tested["alert"]) == ("delivered", 200, True, shown["id"])
    assert program.get("alerts/deliveries/").json()["results"] == [tested]
    assert AuditEntry.objects.filter(action="alert.changed", actor__startswith="vtl_ws_").count() == 2


def test_defaults_and_what_is_reached(program, alex, bot):
    created = program.post("alerts/", {"metric": "tokens", "threshold": "1000", "channels": ["page"]}).json()
    assert (created["unit"], created["threshold"], created["agent"]) == ("absolute", "1000", None)
    store(record(bot, at=NOW))
    look()
    [listed] = program.get("alerts/").json()["results"]
    assert listed["reached_at"] == "2026-02-16T12:00:00Z"
    [delivery] = program.get("alerts/deliveries/").json()["results"]
    assert (delivery["text"], delivery["channel"]) == ("Your agents have used 1.6k tokens this month", "page")


def test_changing_pausing_and_deleting(program, alex):
    alert = set_up(alex, 1_000)
    path = f"alerts/{alert.pk}/"
    assert program.patch(path, {"paused": True}).json()["paused"] is True
    changed = program.patch(path, {"metric": "error_rate", "threshold": "5", "paused": False}).json()
    assert (changed["metric"], changed["unit"], changed["threshold"], changed["paused"]) == (
        "error_rate",
        "percent",
        "5",
        False,
    )
    assert program.delete(path).status_code == 204
    assert program.get(path).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "metric"),
        ({"metric": "tokens", "threshold": "0"}, "threshold"),
        ({"metric": "tokens", "threshold": "5", "channels": []}, "channels"),
        ({"metric": "tokens", "threshold": "5", "channels": ["pigeon"]}, "channels"),
        ({"metric": "tokens", "threshold": "5", "channels": ["webhook"]}, "webhook_url"),
        ({"metric": "tokens", "threshold": "5", "webhook_url": "http://169.254.169.254/"}, "webhook_url"),
        ({"metric": "cost", "unit": "percent", "threshold": "5"}, "unit"),
        ({"metric": "tokens", "threshold": "5", "agent": "d2719f0e-0000-4000-8000-000000000000"}, "agent"),
    ],
)
def test_what_is_wrong_is_said_by_field(program, body, field):
    answer = program.post("alerts/", body)
    assert answer.status_code == 400
    assert field in answer.json()
    assert not Alert.objects.exists()


def test_too_many_tests_are_told_to_wait(program, alex, monkeypatch):
    monkeypatch.setattr("metering.alerting.sending.TESTS_AN_HOUR", 1)
    path = f"alerts/{set_up(alex, 1_000).pk}/test/"
    assert program.post(path, {"channel": "email"}).status_code == 400
    assert program.post(path, {"channel": "page"}).status_code == 200
    assert program.post(path, {"channel": "page"}).status_code == 429


def test_somebody_elses_alert_is_not_there(alex, elena):
    path, stranger = f"alerts/{set_up(alex, 1_000).pk}/", program_of(elena)
    for answer in (
        stranger.get(path),
        stranger.patch(path, {"threshold": "5"}),
        stranger.delete(path),
        stranger.post(f"{path}test/", {"channel": "page"}),
    ):
        assert answer.status_code == 404
    assert stranger.get("alerts/").json()["results"] == []
    assert stranger.get("alerts/deliveries/").json()["results"] == []
