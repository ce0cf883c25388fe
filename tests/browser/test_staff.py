"""The staff's pages and the API's, in a browser that holds them to their security policy."""

from playwright.sync_api import expect

from agents.models import Agent, User
from tests.browser.conftest import DESKTOP
from tests.conftest import PASSWORD
from tests.metering.records import record, store


def test_staff_log_in_where_everybody_does_and_pause_an_agent(live, new_context, bot, shot):
    User.objects.create_superuser("staff@vutler.example", PASSWORD)
    page = new_context(DESKTOP).new_page()
    page.goto(f"{live.url}/admin/agents/agent/")
    page.get_by_label("Email").fill("staff@vutler.example")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live.url}/admin/agents/agent/")
    page.locator("input.action-select").check()
    page.locator("select[name=action]").select_option("pause")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("1 agent paused.")).to_be_visible()
    shot(page, "staff-agents")
    assert Agent.objects.get().paused


def test_staff_filter_usage(live, new_context, bot, shot):
    store(record(bot, cost_input="0.000188", cost_output="0.000228"), record(bot, status="timeout", http_status=504))
    page = new_context(DESKTOP).new_page()
    boss = User.objects.create_superuser("staff@vutler.example", PASSWORD)
    page.goto(f"{live.url}/admin/metering/usagerecord/")
    page.get_by_label("Email").fill(boss.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("$0.000416")).to_be_visible()
    page.get_by_text("Filters").first.click()
    page.get_by_role("link", name="Timed out").click()
    expect(page.get_by_text("timeout 504")).to_be_visible()
    expect(page.get_by_text("$0.000416")).to_have_count(0)
    shot(page, "staff-usage")


def test_the_api_can_be_read_about(live, page, shot):
    page.goto(f"{live.url}/api/v1/docs/")
    expect(page.get_by_text("/api/v1/usage/records/")).to_be_visible()
    page.locator("#operations-agents-agents_create").click()
    expect(page.get_by_text("api_key").first).to_be_visible()
    shot(page, "api")
