"""Staff hear of it when an agent suddenly uses many times what it usually does."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail

from agents import services
from agents.models import Agent, AuditEntry
from llm import abuse
from llm.models import StaffAlert
from metering.rollups import roll_up
from tests.metering.records import record, store

NOON = datetime(2026, 2, 16, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _admins(settings):
    settings.ADMINS = [("Staff", "staff@vutler.example")]
    settings.SITE_URL = "https://vutler.example"


@pytest.fixture
def helpdesk(elena) -> Agent:
    """Elena's agent, there for a year."""
    agent = services.create_agent(workspace=elena.workspace, name="Helpdesk", by=elena.user)
    Agent.objects.filter(pk=agent.pk).update(created_at=NOON - timedelta(days=365))
    return agent


def use(agent: Agent, tokens: int, *, at: datetime, mode: str = "managed") -> None:
    tier = "economy" if mode == "managed" else "byokey"
    store(record(agent, at=at, tokens_input=tokens, tokens_output=0, mode=mode, tier=tier))


def a_week(agent: Agent, tokens_an_hour: int) -> None:
    """Let it use as much every hour of the week before."""
    for hours in range(2, 7 * 24 + 2):
        use(agent, tokens_an_hour, at=NOON - hours * HOUR)
    roll_up()


@pytest.mark.parametrize(
    ("last_hour", "usual", "sudden"),
    [(499_999, 0, False), (500_000, 0, True), (999_999, 100_000, False), (1_000_000, 100_000, True)],
)
def test_ten_times_the_usual_hour_and_half_a_million_tokens_at_least(last_hour, usual, sudden):
    assert abuse.is_sudden(last_hour=last_hour, usual=usual) is sudden


def test_ten_times_its_usual_hour_is_reported_once(helpdesk):
    a_week(helpdesk, 80_000)
    use(helpdesk, 850_000, at=NOON - HOUR / 2)
    [alert] = abuse.look(at=NOON)
    assert (alert.agent, alert.last_hour, alert.usual_hour) == (helpdesk, 850_000, 80_000)
    [message] = mail.outbox
    assert (message.to, message.subject) == (["staff@vutler.example"], "Sudden use: Helpdesk, Elena & Co")
    assert "used 850,000 tokens in the last hour. Its usual hour is 80,000." in message.body
    assert f"https://vutler.example/admin/llm/staffalert/{alert.pk}/change/" in message.body
    assert abuse.look(at=NOON + HOUR / 12) == []
    assert len(mail.outbox) == 1


def test_an_agent_that_always_uses_much_is_nothing_sudden(helpdesk):
    a_week(helpdesk, 200_000)
    use(helpdesk, 900_000, at=NOON - HOUR / 2)
    assert abuse.look(at=NOON) == []


def test_what_runs_on_its_owners_key_is_its_owners_business(helpdesk):
    use(helpdesk, 5_000_000, at=NOON - HOUR / 2, mode="byokey")
    assert abuse.look(at=NOON) == []


def test_a_new_agents_first_hours_count_as_a_day(helpdesk):
    Agent.objects.filter(pk=helpdesk.pk).update(created_at=NOON - 3 * HOUR)
    use(helpdesk, 2_000_000, at=NOON - 2 * HOUR)
    roll_up()
    use(helpdesk, 900_000, at=NOON - HOUR / 2)
    [alert] = abuse.look(at=NOON)
    assert alert.usual_hour == 83_333  # 2,000,000 over 24 hours


def test_staff_pause_the_agent_from_the_alert(helpdesk):
    use(helpdesk, 900_000, at=NOON - HOUR / 2)
    [alert] = abuse.look(at=NOON)
    abuse.pause(alert=alert, by="sam@vutler.example", at=NOON)
    helpdesk.refresh_from_db()
    alert.refresh_from_db()
    assert helpdesk.paused
    assert (alert.closed_at, alert.closed_by) == (NOON, "sam@vutler.example")
    assert AuditEntry.objects.get(action="agent.paused").actor == "staff sam@vutler.example"


def test_its_owners_are_written_to_once_in_their_language(helpdesk, elena):
    elena.user.language = "fr"
    elena.user.save()
    use(helpdesk, 900_000, at=NOON - HOUR / 2)
    [alert] = abuse.look(at=NOON)
    mail.outbox.clear()
    abuse.pause(alert=alert, by="sam@vutler.example", at=NOON)
    abuse.pause(alert=alert, by="sam@vutler.example", at=NOON)
    [message] = mail.outbox
    assert (message.to, message.subject) == (["elena@elena.example"], "Nous avons mis Helpdesk en pause")
    assert "a utilisé 900\xa0000 jetons en une heure" in message.body
    assert f"/agents/{helpdesk.pk}/" in message.body


def test_an_agent_is_paused_though_nobody_could_be_told(helpdesk, monkeypatch):
    def away(**_agent):
        raise ConnectionRefusedError

    use(helpdesk, 900_000, at=NOON - HOUR / 2)
    [alert] = abuse.look(at=NOON)
    monkeypatch.setattr(abuse, "tell_of_pause", away)
    abuse.pause(alert=alert, by="sam@vutler.example", at=NOON)
    helpdesk.refresh_from_db()
    assert helpdesk.paused


def test_a_closed_alert_is_not_raised_again_the_same_day(helpdesk):
    use(helpdesk, 900_000, at=NOON - HOUR / 2)
    [alert] = abuse.look(at=NOON)
    abuse.close(alert=alert, by="sam@vutler.example", at=NOON)
    assert abuse.look(at=NOON + HOUR / 12) == []
    use(helpdesk, 9_000_000, at=NOON + 24 * HOUR)
    assert len(abuse.look(at=NOON + 24 * HOUR + HOUR / 12)) == 1
    assert StaffAlert.objects.count() == 2


def test_a_mail_server_that_is_away_loses_no_alert(helpdesk, monkeypatch):
    def away(_message):
        raise OSError

    monkeypatch.setattr("django.core.mail.EmailMultiAlternatives.send", away)
    use(helpdesk, 900_000, at=NOON - HOUR / 2)
    assert len(abuse.look(at=NOON)) == 1


def test_without_use_nothing_is_looked_at(helpdesk, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert abuse.look(at=NOON) == []


def test_a_deleted_agents_last_hour_is_past(elena, helpdesk):
    use(helpdesk, 900_000, at=NOON - HOUR / 2)
    services.delete_agent(agent=helpdesk, by=elena.user)
    assert abuse.look(at=NOON) == []
