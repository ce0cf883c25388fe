"""Elena says what she wants to be told of, tries it out, and reads it on her pages when it happens."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from agents import services, subscriptions
from metering import rollups
from metering.alerting import watching
from tests.browser.conftest import axe, no_horizontal_scroll
from tests.metering.alerting import set_up
from tests.metering.records import record, store
from tests.metering.test_alert_webhooks import receiver

pytestmark = pytest.mark.django_db(transaction=True)


def test_from_nothing_to_the_first_alert_that_is_told(live, page, elena, log_in, shot):
    now = timezone.now()
    bot = services.create_agent(workspace=elena.workspace, name="Support Bot", by=elena.user)
    subscriptions.choose_plan(agent=bot, tier="economy", by=elena.user, at=now)
    log_in(page, elena)

    page.goto(f"{live.url}/agents/")
    page.get_by_role("link", name="Alerts").click()
    expect(page.get_by_role("heading", name="Say what you want to be told of")).to_be_visible()
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "alerts-empty")

    page.get_by_role("link", name="New alert").click()
    expect(page.get_by_label("When it reaches")).to_have_value("90")
    expect(page.get_by_label("With at least so many requests")).to_be_hidden()
    expect(page.get_by_label("Webhook address")).to_be_hidden()
    page.get_by_label("What to watch").select_option("error_rate")
    expect(page.get_by_label("With at least so many requests")).to_be_visible()
    page.get_by_label("In a chat, or to a program of yours").check()
    axe(page)
    no_horizontal_scroll(page)
    shot(page, "alert-new")
    page.get_by_label("What to watch").select_option("share")
    with receiver(500) as hook:
        page.get_by_label("Webhook address").fill(hook.url)
        page.get_by_role("button", name="Save alert").click()
        expect(page.get_by_role("heading", name="The secret of this webhook")).to_be_visible()
        axe(page)
        shot(page, "alert-secret")
        page.get_by_role("link", name="Go on").click()

        page.get_by_role("button", name="Test the webhook").click()
        expect(page.locator("#tested")).to_contain_text("It didn’t arrive. The server answered 500.")
        page.get_by_role("button", name="Test the notice").click()
        expect(page.locator("#tested")).to_contain_text("[Test] Support Bot has used 90% of this month’s plan")
        page.get_by_role("button", name="Test the e-mail").click()
        expect(page.locator("#tested")).to_contain_text("Sent to elena@elena.example")
        page.reload()
        no_horizontal_scroll(page)
        axe(page)
        shot(page, "alert")

    set_up(elena, "5.00", metric="price")
    store(record(bot, at=now, tier="economy", mode="managed", tokens_input=1_900_000, price_total=9_500_000_000_000))
    rollups.roll_up()
    watching.watch(at=now)
    page.goto(f"{live.url}/alerts/")
    expect(page.get_by_text("Reached on").first).to_be_visible()
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "alerts")

    page.goto(f"{live.url}/usage/")
    notice = page.get_by_role("region", name="Support Bot has used 95% of this month’s plan")
    expect(notice).to_be_visible()
    axe(page)
    shot(page, "alert-notice")
    notice.get_by_role("button", name="Close").click()
    expect(notice).to_be_hidden()
