"""Maya compares two models on ten prompts without knowing which is which, on the real server."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import axe, no_horizontal_scroll
from tests.conftest import PASSWORD
from tests.process import GatewayProcess, running_gateway

pytestmark = pytest.mark.process

SEED = f"""
from agents import services
from agents.models import User
maya = User.objects.create_user("maya@maya.example", {PASSWORD!r}, first_name="Maya")
workspace = services.create_workspace(name="Maya & Co", owner=maya)
agent = services.create_agent(workspace=workspace, name="Writer", by=maya, model="gpt-4o-mini")
for provider in ("anthropic", "openai"):
    key = services.save_key(workspace=workspace, provider=provider, secret=f"sk-{{provider}}-0123456789-wxyz", by=maya)
services.use_key(agent=agent, key=key, by=maya)
"""
# Days of conversations, in which the second side costs three fifths of what the first one does.
SIX_DAYS = """
from datetime import timedelta
from django.utils import timezone
from llm.models import Experiment
from tests.browser.test_experiments import a_day
Experiment.objects.update(started_at=timezone.now() - timedelta(days=6))
experiment = Experiment.objects.get()
for day in range(6):
    a_day(experiment.agent, experiment, day=day, sessions=60)
"""
PROMPTS = [f"What is {number} times seven? [[chunk_delay=0.02]]" for number in range(1, 11)]


@pytest.fixture(scope="module")
def server(echo_server, tmp_path_factory) -> Iterator[GatewayProcess]:
    with running_gateway(echo_server, tmp_path_factory.mktemp("server"), HTTPS="false") as gateway:
        gateway.run("shell", "-c", SEED)
        yield gateway


@pytest.fixture
def maya(server: GatewayProcess) -> Callable[[Page], Page]:
    """Log Maya in, and go to where she compares."""

    def log_in(page: Page) -> Page:
        page.goto(f"{server.site}/accounts/login/?next=/compare/")
        page.get_by_label("Email").fill("maya@maya.example")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"{server.site}/compare/")
        return page

    return log_in


def compare(page: Page) -> None:
    page.get_by_role("main").get_by_role("button", name="Compare").click()


def test_maya_compares_two_models_on_ten_prompts_blindly_and_adopts_the_cheaper(maya, server, desktop: Page, shot):
    page = maya(desktop)
    page.get_by_text("A list", exact=True).click()
    page.get_by_label("Prompts, one a line").fill("\n".join(PROMPTS))
    page.get_by_label("Model A", exact=True).select_option(label="gpt-4o-mini")
    page.get_by_label("Model B", exact=True).select_option(label="claude-haiku-4-5")
    page.get_by_label("Hide the names until I have voted").check()
    axe(page)
    shot(page, "compare-form")
    compare(page)

    expect(page.get_by_role("status").filter(has_text="10 / 10 Done.")).to_be_visible()
    answers = page.locator(".answer")
    expect(answers).to_have_count(20)
    expect(answers.first).to_contain_text("You said: What is 1 times seven?")
    # Neither the models nor what would tell them apart.
    assert "claude" not in page.locator("#run").inner_text()
    expect(page.locator(".measures")).to_have_count(0)
    expect(page.locator("#summary")).to_contain_text("Vote on 10 more prompts to see who is who.")

    # She likes whichever stands on the left: orders are shuffled, so that isn't always the same one.
    for number in range(10):
        page.get_by_role("button", name=f"Good: A, prompt {number + 1}", exact=True).click()
        expect(page.locator(f"#foot-{number}-1 .measures")).to_be_visible()
    liked = page.locator(".answer:has(.up[aria-pressed=true]) .answer-head strong").all_inner_texts()
    assert len(liked) == 10
    table = page.locator("#summary table")
    for model in ("gpt-4o-mini", "claude-haiku-4-5"):
        row = table.locator("tr").filter(has_text=model)
        expect(row.locator("td").first.locator("strong")).to_have_text(str(liked.count(model)))
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "compare-voted")

    # From here it goes on to an experiment with both as its arms, and six days later to the winner.
    page.get_by_role("button", name="Prove it on real traffic").click()
    for side, model in (("A", "gpt-4o-mini"), ("B", "claude-haiku-4-5")):
        expect(page.get_by_role("group", name=f"Side {side}").get_by_label("Model")).to_have_value(model)
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name="Too early to say")).to_be_visible()
    server.run("shell", "-c", SIX_DAYS)
    page.reload()
    expect(page.get_by_role("heading", name="claude-haiku-4-5 is")).to_contain_text("cheaper")
    page.get_by_role("button", name="Adopt claude-haiku-4-5").click()
    page.get_by_role("dialog").get_by_role("button", name="Adopt").click()
    expect(page.get_by_text("You adopted claude-haiku-4-5.")).to_be_visible()
    [writer] = server.run(
        "shell", "-v0", "-c", "from agents.models import Agent; print(Agent.objects.get().model)"
    ).split()
    assert writer == "claude-haiku-4-5"


def test_on_her_phone_maya_stops_what_takes_too_long(maya, phone: Page, shot):
    page = maya(phone)
    page.locator("#id_prompt").fill("Tell me all about bread. [[words=2000]] [[chunk_delay=0.05]]")
    no_horizontal_scroll(page)
    axe(page)
    compare(page)
    for place in (0, 1):
        expect(page.locator(f"#said-0-{place}")).to_contain_text("word2")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status").filter(has_text="Stopped.")).to_be_visible()
    said = page.locator("#said-0-0").inner_text()
    expect(page.locator("#foot-0-0")).to_contain_text("Stopped.")
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "compare-stopped")
    assert page.locator("#said-0-0").inner_text() == said
