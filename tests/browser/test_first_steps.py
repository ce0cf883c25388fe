"""Alex's first minutes, on a server like that of `make run`: sign up, agent, key, token, a request, its usage."""

import json
import subprocess
from collections.abc import Callable, Iterator
from zipfile import ZipFile

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import axe, no_horizontal_scroll, size_of
from tests.flows.trying_out import TryingOut, trying_out

pytestmark = pytest.mark.process

Look = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[TryingOut]:
    with trying_out(tmp_path_factory.mktemp("var")) as running:
        yield running


@pytest.fixture
def look(shot) -> Look:
    """Look at a page with every eye: width, axe, and a picture where one is wanted."""

    def at(page: Page, name: str) -> None:
        no_horizontal_scroll(page)
        axe(page)
        shot(page, name)

    return at


def test_from_sign_up_to_the_first_counted_request(server: TryingOut, page: Page, look: Look):
    page.goto(f"{server.url}/accounts/signup/")
    look(page, "sign-up")
    page.get_by_label("Email").fill(f"alex-{size_of(page)}@example.com")
    page.get_by_label("Company").fill("Alex & Co")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("main").get_by_role("button", name="Sign up").click()

    expect(page.get_by_role("heading", name="Create your first agent")).to_be_visible()
    look(page, "no-agents-yet")
    page.get_by_role("link", name="Support email").click()

    expect(page.get_by_role("heading", name="New agent")).to_be_visible()
    look(page, "new-agent")
    page.get_by_role("button", name="Use my own key").click()

    expect(page.get_by_role("heading", name="Support email")).to_be_visible()
    look(page, "settings-empty")
    page.get_by_label("LLM provider").select_option("echo")
    expect(page.get_by_label("Model", exact=True)).to_have_value("echo-1")
    page.get_by_role("textbox", name="API key").fill("sk-alex-0123456789-wxyz")
    page.get_by_role("button", name="Check key").click()
    expect(page.get_by_text("It can use")).to_be_visible()
    page.locator("#model").get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("sk-…wxyz").first).to_be_attached()
    assert "sk-alex-0123456789" not in page.content()
    look(page, "settings")
    page.get_by_role("button", name="Make a token").click()

    expect(page.get_by_role("heading", name="Your new token")).to_be_visible()
    look(page, "token")
    curl = page.locator("#curl").inner_text()
    answer = json.loads(subprocess.run(["bash", "-c", curl], check=True, capture_output=True, text=True).stdout)
    tokens = answer["usage"]["total_tokens"]

    usage = page.get_by_role("main").get_by_text(f"{tokens}", exact=True).first
    page.goto(f"{server.url}/usage/")
    while not usage.is_visible():
        page.reload()
    look(page, "usage-first")
    page.get_by_role("link", name="Support email").first.click()
    expect(page.get_by_text("echo-1").last).to_be_visible()
    look(page, "records-first")


def log_in_to_the_demo(server: TryingOut, page: Page) -> None:
    page.goto(f"{server.url}/accounts/login/")
    page.get_by_label("Email").fill(server.said("Log in"))
    page.get_by_label("Password").fill(server.said("Password"))
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Agents")).to_be_visible()


def test_the_demo_bakery_has_months_to_look_at(server: TryingOut, page: Page, look: Look):
    log_in_to_the_demo(server, page)
    look(page, "agents")
    page.goto(f"{server.url}/usage/")
    expect(page.get_by_role("link", name="Newsletter writer", exact=True)).to_be_visible()
    expect(page.get_by_text("Starter · ")).to_be_visible()
    look(page, "usage")

    shown = page.get_by_label("Months").locator("[aria-current=date]")
    this_month = shown.inner_text()
    page.get_by_role("link", name="Back to").click()
    expect(shown).not_to_have_text(this_month)
    look(page, "usage-before")
    page.get_by_role("link", name="Recipe writer", exact=True).click()
    expect(page.get_by_text("of 2M tokens in Starter")).to_be_visible()
    expect(page.get_by_role("figure")).to_be_visible()
    look(page, "usage-agent-on-plan")
    with page.expect_download() as csv:
        page.get_by_role("link", name="Download CSV").click()
    assert csv.value.path().read_text().startswith("id,timestamp,")

    page.get_by_text("As a table").click()
    page.locator("details[open] tbody a").first.click()
    expect(page.get_by_role("heading", name="Requests of")).to_be_visible()
    look(page, "usage-day")
    page.goto(f"{server.url}/usage/")
    page.get_by_role("link", name="Newsletter writer", exact=True).click()
    expect(page.get_by_role("heading", name="Newsletter writer")).to_be_visible()
    look(page, "records")


def test_all_of_it_can_be_taken_along(server: TryingOut, page: Page, look: Look):
    log_in_to_the_demo(server, page)
    page.goto(f"{server.url}/settings/data/")
    expect(page.get_by_label("Keep requests for")).to_have_value("13")
    look(page, "data")
    with page.expect_download() as taken:
        page.get_by_role("button", name="Download").click()
    archive = ZipFile(taken.value.path())
    assert archive.testzip() is None
    assert b"Recipe writer" in archive.read("requests.csv")
