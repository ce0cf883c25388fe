"""The pages of alerts, as their owners and as strangers meet them."""

import pytest
from django.core import mail
from django.utils import translation

from agents import services as agents
from agents.models import AuditEntry, Member, Role, User
from metering.models import Alert, Delivery
from tests.agents.test_agent_pages import page
from tests.conftest import PASSWORD, Person
from tests.metering.alerting import set_up, set_up_signed
from tests.metering.conftest import NOW
from tests.metering.records import record, store
from tests.metering.test_alert_webhooks import deliver, reached, receiver
from tests.metering.test_alerts import look

pytestmark = pytest.mark.usefixtures("february")


@pytest.fixture
def bea(alex) -> Person:
    """Sees to the bills of Alex's workspace, and nothing else."""
    user = User.objects.create_user("bea@alex.example", PASSWORD)
    Member.objects.create(workspace=alex.workspace, user=user, role=Role.BILLING)
    return Person(user=user, workspace=alex.workspace)


def form(**fields):
    usual = {"agent_id": "", "watched": "tokens", "threshold": "1000", "by_email": "on", "shape": "vutler"}
    return {name: value for name, value in {**usual, **fields}.items() if value is not None}


def test_a_first_visit_shows_the_next_step(alex, bot, maya, bea):
    assert "Create an agent first" in page(maya.client().get("/alerts/"))
    assert 'href="/alerts/new/"' in page(alex.client().get("/alerts/"))
    assert "No alerts yet" in page(bea.client().get("/alerts/"))


def test_on_a_plan_the_first_visit_says_what_is_told_anyway(elena, helpdesk):
    assert "half, 80% and all of its plan" in page(elena.client().get("/alerts/"))


def test_elena_reads_no_word_that_is_not_hers(elena, helpdesk):
    set_up(elena, 80, unit="percent", agent_id=helpdesk.pk)
    browser = elena.client()
    for path in ("/alerts/", "/alerts/new/", f"/alerts/{Alert.objects.get().pk}/"):
        html = page(browser.get(path))
        assert not [word for word in ("provider", "API key", "LLM", "token price") if word in html], path


def test_elena_sets_an_alert_up(elena, helpdesk):
    browser = elena.client()
    assert 'value="90"' in page(browser.get("/alerts/new/"))
    answer = browser.post(
        "/alerts/new/", form(watched="share", threshold="90", agent_id=str(helpdesk.pk), on_page="on")
    )
    alert = Alert.objects.get()
    assert answer["Location"] == f"/alerts/{alert.pk}/"
    assert (alert.metric, alert.unit, alert.threshold, alert.channels) == ("tokens", "percent", 90, ["email", "page"])
    assert (alert.agent_id, alert.created_by) == (helpdesk.pk, "elena@elena.example")
    html = page(browser.get("/alerts/"))
    for part in ("Helpdesk: 90% of the plan", "Watching", "E-mail · On the pages"):
        assert part in html


def test_alex_is_offered_what_he_can_watch_and_told_what_is_wrong(alex, bot):
    browser = alex.client()
    html = page(browser.get("/alerts/new/"))
    assert "Cost at your own provider" in html
    assert "Share of the plan" not in html
    assert "Choose where you want to be told." in page(browser.post("/alerts/new/", form(by_email=None)), 422)
    assert "Give a whole number." in page(browser.post("/alerts/new/", form(threshold="1.5")), 422)
    assert page(browser.post("/alerts/new/", form(agent_id="d2719f0e-0000-4000-8000-000000000000")), 422)
    assert page(browser.post("/alerts/new/", form(watched="share")), 422)
    assert not Alert.objects.exists()


def test_the_webhooks_secret_is_shown_once_and_its_address_never(alex, bot):
    browser = alex.client()
    with receiver(200) as hook:
        html = page(browser.post("/alerts/new/", form(by_webhook="on", webhook_url=hook.url)))
        assert "whsec_" in html
        alert = Alert.objects.get()
        again = page(browser.get(f"/alerts/{alert.pk}/"))
        assert "127.0.0.1" in again
        for secret in ("whsec_", "s3cret-part"):
            assert secret not in again
        browser.post(f"/alerts/{alert.pk}/", form(by_webhook="on", threshold="2000"))
        tested = page(browser.post(f"/alerts/{alert.pk}/test/", {"channel": "webhook"}))
    assert "It arrived: 127.0.0.1 answered 200." in tested
    assert len(hook.heard) == 1


def test_a_wrong_address_is_said_where_it_was_typed(alex, bot):
    html = page(alex.client().post("/alerts/new/", form(by_webhook="on", webhook_url="hooks.example.com")), 422)
    assert "Write it whole, beginning with https://." in html


def test_each_channel_is_tried_in_plain_words(alex, bot, settings):
    browser = alex.client()
    with receiver(403) as hook:
        alert = set_up(alex, 1_000, by_email=True, webhook_url=hook.url)
        test = f"/alerts/{alert.pk}/test/"
        assert "alex@alex.example" in page(browser.post(test, {"channel": "email"}, headers={"hx-request": "true"}))
        assert "[Test] Your agents have used 1k tokens" in page(browser.post(test, {"channel": "page"}))
        refused = page(browser.post(test, {"channel": "webhook"}))
        assert "It didn’t arrive. The server answered 403." in refused
        settings.ALLOW_PRIVATE_ENDPOINTS = False
        assert "leads into a private network" in page(browser.post(test, {"channel": "webhook"}))
    assert "nothing has been reached" in str(mail.outbox[0].body)
    assert browser.post(test, {"channel": "pigeon"}).status_code == 404
    assert page(browser.get("/alerts/")).count("The server answered 403.") == 1


def test_what_was_reached_shows_with_its_delivery(alex, bot):
    set_up(alex, 1_000)
    store(record(bot, at=NOW))
    look()
    html = page(alex.client().get("/alerts/"))
    for part in ("Reached on February 16", "Your agents have used 1.6k tokens this month", "Delivered", "last told"):
        assert part in html


def test_what_did_not_arrive_shows_why(alex, bot):
    with receiver(410) as hook:
        set_up_signed(alex, hook.url)
        deliver(reached(bot))
    html = page(alex.client().get("/alerts/"))
    assert "Didn’t arrive" in html
    assert html.count("The server answered 410.") == 2


def test_the_log_ends_after_fifty(alex):
    alert = set_up(alex, 1_000)
    store_of = alert.occasions.create(mark="x", period="test", facts=_facts(), test=True, at=NOW)
    Delivery.objects.bulk_create(
        Delivery(occasion=store_of, workspace_id=alex.workspace.pk, channel="page", created_at=NOW, due_at=NOW)
        for _ in range(60)
    )
    assert page(alex.client().get("/alerts/")).count("<tr>") == 51


def _facts():
    return {"metric": "tokens", "unit": "absolute", "threshold": "1000", "value": "1000", "window_hours": 24}


def test_pausing_resuming_and_deleting(alex):
    alert, browser = set_up(alex, 1_000), alex.client()
    browser.post(f"/alerts/{alert.pk}/pause/")
    assert "Paused" in page(browser.get("/alerts/"))
    browser.post(f"/alerts/{alert.pk}/resume/")
    assert "Paused" not in page(browser.get("/alerts/"))
    browser.post(f"/alerts/{alert.pk}/delete/")
    assert not Alert.objects.exists()
    assert AuditEntry.objects.filter(action="alert.deleted").count() == 1


def test_a_deleted_agents_alert_says_so(alex, bot):
    alert = set_up(alex, 1_000, agent_id=bot.pk)
    agents.delete_agent(agent=bot, by=alex.user)
    assert "Agent deleted" in page(alex.client().get("/alerts/"))
    assert page(alex.client().get(f"/alerts/{alert.pk}/"))


def test_somebody_elses_alert_is_not_there(alex, elena):
    alert, stranger = set_up(alex, 1_000), elena.client()
    assert stranger.get(f"/alerts/{alert.pk}/").status_code == 404
    for verb in ("", "test/", "pause/", "resume/", "delete/"):
        assert stranger.post(f"/alerts/{alert.pk}/{verb}", form(channel="page")).status_code == 404
    assert "tokens a month" not in page(stranger.get("/alerts/"))
    alert.refresh_from_db()
    assert (alert.threshold, alert.paused_at) == (1_000, None)


def test_who_sees_to_bills_looks_and_changes_nothing(alex, bea):
    alert, browser = set_up(alex, 1_000), bea.client()
    assert "Save" not in page(browser.get(f"/alerts/{alert.pk}/"))
    assert browser.get("/alerts/new/").status_code == 403
    for verb in ("", "test/", "pause/", "resume/", "delete/"):
        assert browser.post(f"/alerts/{alert.pk}/{verb}", form(channel="page")).status_code == 403


def test_alerts_in_french(alex, bot):
    set_up(alex, 5, metric="error_rate", unit="percent", window_hours=1)
    with translation.override("fr"):
        browser = alex.client()
        browser.cookies["django_language"] = "fr"
        html = page(browser.get("/alerts/"))
    assert "Tous les agents ensemble : 5 % des requêtes échouent en 1 h" in html.replace("\xa0", " ")
