"""The Check key button, as Alex meets it and as Maya abuses it."""

import pytest

from agents import services
from agents.models import ProviderKey
from tests.agents.test_agent_pages import page
from tests.llm.provider_server import provider_server
from tests.llm.test_key_check import ANSWER, MODELS

PASTED = "sk-pasted-9876543210-abcd"
HTMX = {"hx-request": "true"}


@pytest.fixture
def openai(settings):
    """A provider that knows every key."""
    with provider_server({"/models": MODELS, "/chat/completions": ANSWER}) as server:
        settings.PROVIDER_BASE_URL = lambda provider, default: server.url
        yield server


def press(person, agent, **fields):
    form = {"provider": "openai", "key": "new", "api_key": "", "base_url": "", "model": "gpt-4o", "other_model": ""}
    return person.client().post(f"/agents/{agent.pk}/check-key/", {**form, **fields}, headers=HTMX)


def keys_shown(server):
    return {headers.get("authorization") for _path, headers, _body in server.asked}


def test_a_pasted_key_is_tried_and_its_models_offered(alex, bot, openai):
    html = page(press(alex, bot, api_key=PASTED))
    assert "The key works." in html
    assert "It can use 3 models." in html
    assert '<option value="o9-unheard-of">' in html
    assert '<option value="gpt-4o" selected>' in html
    assert PASTED not in html
    assert keys_shown(openai) == {f"Bearer {PASTED}"}
    assert ProviderKey.objects.count() == 1


def test_a_saved_key_is_tried(alex, bot, openai):
    assert "The key works." in page(press(alex, bot, key=str(bot.provider_key_id)))
    assert keys_shown(openai) == {"Bearer sk-alex-0123456789-wxyz"}


def test_nothing_pasted_nothing_asked(alex, bot, openai):
    assert "Paste a key first" in page(press(alex, bot))
    assert openai.asked == []


def test_what_is_wrong_is_said_in_plain_words(alex, bot, openai):
    openai.answers["/models"] = (401, {"error": {"message": f"Incorrect API key provided: {PASTED}"}})
    html = page(press(alex, bot, api_key=PASTED))
    assert "OpenAI doesn&#x27;t accept this key." in html
    assert PASTED not in html


def test_a_saved_key_is_never_sent_to_another_address(alex, bot, openai):
    key = services.save_key(
        workspace=alex.workspace, provider="custom", secret=PASTED, base_url=f"{openai.url}", by=alex.user
    )
    with provider_server({}) as thief:
        press(alex, bot, provider="custom", key=str(key.pk), base_url=thief.url, model="m")
    assert thief.asked == []
    assert keys_shown(openai) == {f"Bearer {PASTED}"}


def test_without_a_script_the_answer_is_a_page(alex, bot, openai):
    form = {"provider": "openai", "key": "new", "api_key": PASTED, "model": "gpt-4o"}
    html = page(alex.client().post(f"/agents/{bot.pk}/check-key/", form))
    assert "<html" in html
    assert "The key works." in html


def test_maya_cannot_have_alexs_key_checked_through_her_own_agent(maya, bot, openai):
    mine = services.create_agent(workspace=maya.workspace, name="Mine", by=maya.user)
    assert "Paste a key first" in page(press(maya, mine, key=str(bot.provider_key_id)))
    assert openai.asked == []


def test_a_saved_key_is_checked_from_its_own_page(alex, bot, openai):
    assert "The key works." in page(alex.client().post(f"/keys/{bot.provider_key_id}/check/", headers=HTMX))


def test_a_private_address_is_refused(alex, bot, settings):
    settings.ALLOW_PRIVATE_ENDPOINTS = False
    html = page(press(alex, bot, provider="custom", base_url="https://169.254.169.254/v1", api_key=PASTED))
    assert "leads into a private network" in html
