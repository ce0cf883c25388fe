"""An agent's settings under a hand: what one choice shows or hides of the others, without a reload."""

import pytest
from playwright.sync_api import Page, expect

from agents import services
from tests.browser.conftest import axe, no_horizontal_scroll
from tests.conftest import Person
from tests.llm.provider_server import provider_server
from tests.llm.test_key_check import ANSWER, MODELS

SECRET = "sk-alex-0123456789-wxyz"


def test_each_provider_brings_its_own_keys_and_models(live, log_in, page: Page, alex, bot):
    log_in(page, alex)
    page.goto(f"{live.url}/agents/{bot.pk}/")
    expect(page.get_by_label("API key", exact=True)).to_have_value(str(bot.provider_key_id))
    expect(page.locator("#id_api_key")).to_be_hidden()
    page.get_by_label("API key", exact=True).select_option("new")
    expect(page.locator("#id_api_key")).to_be_visible()

    page.get_by_label("LLM provider").select_option("anthropic")
    expect(page.locator("#id_model")).to_have_value("claude-sonnet-4-20250514")
    expect(page.locator("#id_other_model")).to_be_hidden()

    page.get_by_label("LLM provider").select_option("custom")
    page.get_by_label("Base URL").fill("https://llm.alex.example/v1")
    page.locator("#id_other_model").fill("llama3.2")
    no_horizontal_scroll(page)
    axe(page)
    page.locator("#model").get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    bot.refresh_from_db()
    assert (bot.provider, bot.model, bot.provider_key.base_url) == ("custom", "llama3.2", "https://llm.alex.example/v1")


@pytest.fixture
def openai(settings):
    """A provider that knows every key."""
    with provider_server({"/models": MODELS, "/chat/completions": ANSWER}) as server:
        settings.PROVIDER_BASE_URL = lambda provider, default: server.url
        yield server


@pytest.fixture
def spare(alex):
    """A second key of Alex's at OpenAI."""
    return services.save_key(
        workspace=alex.workspace, provider="openai", secret="sk-spare-9876543210-abcd", by=alex.user
    )


@pytest.mark.usefixtures("openai")
def test_a_check_offers_models_and_is_forgotten_with_the_next_key(live, log_in, page: Page, bot, spare):
    log_in(page, Person(user=bot.workspace.members.get(), workspace=bot.workspace))
    page.goto(f"{live.url}/agents/{bot.pk}/")
    page.get_by_role("button", name="Check key").click()
    expect(page.get_by_role("status").get_by_text("The key works. It can use 3 models.")).to_be_visible()
    page.locator("#id_model").select_option("o9-unheard-of")
    page.get_by_label("API key", exact=True).select_option(str(spare.pk))
    expect(page.get_by_text("The key works.")).to_have_count(0)
    page.locator("#model").get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    bot.refresh_from_db()
    assert (bot.model, bot.provider_key) == ("o9-unheard-of", spare)
    assert SECRET not in page.content()
