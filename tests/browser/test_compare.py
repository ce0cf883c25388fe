"""Maya compares two models on ten prompts without knowing which is which, on the real server."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import axe, no_horizontal_scroll, size_of
from tests.conftest import PASSWORD
from tests.process import GatewayProcess, running_gateway

pytestmark = pytest.mark.process

SEED = f"""
import json
from agents import services
from agents.models import User
maya = User.objects.create_user("maya@maya.example", {PASSWORD!r}, first_name="Maya")
workspace = services.create_workspace(name="Maya & Co", owner=maya)
agent = services.create_agent(workspace=workspace, name="Writer", by=maya, model="gpt-4o-mini")
for provider in ("anthropic", "openai"):
    key = services.save_key(workspace=workspace, provider=provider, secret=f"sk-{{provider}}-0123456789-wxyz", by=maya)
services.use_key(agent=agent, key=key, by=maya)
print(json.dumps({{"agent": str(agent.pk)}}))
"""
PROMPTS = [f"What is {number} times seven? [[chunk_delay=0.02]]" for number in range(1, 11)]
VOTED = 10


@pytest.fixture(scope="module")
def server(echo_server, tmp_path_factory) -> Iterator[GatewayProcess]:
    with running_gateway(echo_server, tmp_path_factory.mktemp("server"), HTTPS="false") as gateway:
        gateway.seeded = json.loads(gateway.run("shell", "-v", "0", "-c", SEED).splitlines()[-1])  # type: ignore[attr-defined]
        yield gateway


@pytest.fixture
def page(server: GatewayProcess, page: Page) -> Page:
    """Maya's browser, logged in."""
    page.goto(f"{server.site}/accounts/login/")
    page.get_by_label("Email").fill("maya@maya.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{server.site}/agents/")
    return page


def test_maya_compares_two_models_on_ten_prompts_blindly(server: GatewayProcess, page: Page, shot):
    page.goto(f"{server.site}/compare/")
    page.get_by_text("A list", exact=True).click()
    page.get_by_label("Prompts, one a line").fill("\n".join(PROMPTS))
    page.get_by_label("Model A", exact=True).select_option(label="gpt-4o-mini")
    page.get_by_label("Model B", exact=True).select_option(label="claude-haiku-4-5")
    page.get_by_label("Hide the names until I have voted").check()
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "compare-form")
    page.get_by_role("main").get_by_role("button", name="Compare").click()

    expect(page.get_by_role("status").filter(has_text="10 / 10 Done.")).to_be_visible()
    answers = page.locator(".answer")
    expect(answers).to_have_count(20)
    expect(answers.first).to_contain_text("You said: What is 1 times seven?")
    # Neither the models nor what would tell them apart.
    assert "claude" not in page.locator("#run").inner_text()
    expect(page.locator(".measures")).to_have_count(0)
    expect(page.locator("#summary")).to_contain_text("Vote on 10 more prompts to see who is who.")
    shot(page, "compare-blind")

    # She likes whichever stands on the left: orders are shuffled, so that isn't always the same one.
    for number in range(VOTED):
        page.get_by_role("button", name=f"Good: A, prompt {number + 1}", exact=True).click()
        expect(page.locator(f"#foot-{number}-0 .thumb.up")).to_have_attribute("aria-pressed", "true")
        expect(page.locator(f"#foot-{number}-1 .measures")).to_be_visible()
    liked = page.locator(".answer:has(.up[aria-pressed=true]) .answer-head strong").all_inner_texts()
    table = page.locator("#summary table")
    expect(table).to_be_visible()
    for model in ("gpt-4o-mini", "claude-haiku-4-5"):
        row = table.locator("tr").filter(has_text=model)
        expect(row.locator("td").first.locator("strong")).to_have_text(str(liked.count(model)))
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "compare-voted")
    experiment = page.get_by_role("button", name="Prove it on real traffic")
    assert experiment.locator("xpath=ancestor::form").get_attribute("action") == "/experiments/new/"
    arms = page.locator("#summary input[name=arm]").evaluate_all("each => each.map(input => input.value)")
    assert [arm.partition(":")[2] for arm in arms] == ["gpt-4o-mini", "claude-haiku-4-5"]
    assert size_of(page)
