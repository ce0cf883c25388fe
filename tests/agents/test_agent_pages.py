"""The pages of agents, as their owners and as strangers meet them."""

from uuid import uuid4

import pytest
from django.utils import timezone

from agents import services
from agents.models import Agent, AgentToken, Member, ProviderKey, Role, User
from tests.conftest import PASSWORD, Person

SECRET = "sk-alex-0123456789-wxyz"
PASTED = "sk-pasted-9876543210-new"


def page(response, status=200):
    assert response.status_code == status, response.content.decode()[:2000]
    return response.content.decode()


@pytest.fixture
def bea(alex) -> Person:
    """Sees to the bills of Alex's workspace, and nothing else."""
    user = User.objects.create_user("bea@alex.example", PASSWORD)
    Member.objects.create(workspace=alex.workspace, user=user, role=Role.BILLING)
    return Person(user=user, workspace=alex.workspace)


def save(client, agent, **fields):
    form = {"provider": "openai", "key": "new", "api_key": "", "base_url": "", "model": "gpt-4o", "other_model": ""}
    return client.post(f"/agents/{agent.pk}/", {**form, **fields})


# --- The list, and a new one --------------------------------------------------------------------


def test_on_a_first_visit_alex_is_shown_the_next_step(alex):
    html = page(alex.client().get("/agents/"))
    assert "Create your first agent" in html
    assert 'href="/agents/new/?template=support-email"' in html


def test_the_list_says_what_each_agent_runs_on_and_what_it_lacks(alex, bot):
    services.create_agent(workspace=alex.workspace, name="FAQ Bot", by=alex.user, provider="groq")
    services.pause_agent(agent=bot, by=alex.user)
    html = page(alex.client().get("/agents/"))
    assert "OpenAI · gpt-4o-mini" in html
    assert "sk-…wxyz" in html
    assert "Needs a key" in html
    assert "Paused" in html


def test_maya_starts_from_a_template_and_lands_in_its_settings(maya):
    response = maya.client().post("/agents/new/", {"template": "support-email", "name": "Helpdesk"})
    agent = Agent.objects.get(workspace=maya.workspace)
    assert (agent.name, agent.template) == ("Helpdesk", "support-email")
    assert response["location"] == f"/agents/{agent.pk}/"


def test_without_a_name_the_template_lends_its_own(maya):
    maya.client().post("/agents/new/", {"template": "faq-bot", "name": ""})
    assert Agent.objects.get().name == "Simple FAQ bot"


def test_a_blank_agent_needs_a_name(maya):
    assert "Give your agent a name." in page(maya.client().post("/agents/new/", {"template": "blank"}), 422)
    assert not Agent.objects.exists()


def test_every_template_is_on_offer_with_what_it_does(maya):
    html = page(maya.client().get("/agents/new/"))
    assert "Coding assistant" in html
    assert "Writes and reviews code with your team." in html


# --- Settings -----------------------------------------------------------------------------------


def test_the_settings_are_the_documents_first_drawing(alex, bot):
    html = page(alex.client().get(f"/agents/{bot.pk}/"))
    for part in ("LLM provider", "API key", "Model", "Use Managed LLM instead", "sk-…wxyz", "gpt-4o-mini"):
        assert part in html
    assert SECRET not in html


def test_alex_pastes_a_key_and_it_is_sealed_and_used(alex):
    agent = services.create_agent(workspace=alex.workspace, name="Bot", by=alex.user)
    assert save(alex.client(), agent, api_key=f" {PASTED} ").status_code == 302
    key = ProviderKey.objects.get(agents=agent)
    assert key.open().reveal() == PASTED
    assert PASTED not in key.sealed_secret
    assert PASTED not in page(alex.client().get(f"/agents/{agent.pk}/"))


def test_a_saved_key_serves_a_second_agent(alex, bot):
    agent = services.create_agent(workspace=alex.workspace, name="Second", by=alex.user)
    save(alex.client(), agent, key=str(bot.provider_key_id))
    agent.refresh_from_db()
    assert agent.provider_key_id == bot.provider_key_id
    assert ProviderKey.objects.count() == 1


def test_a_model_that_the_catalogue_does_not_know_is_taken(alex, bot):
    save(alex.client(), bot, key=str(bot.provider_key_id), model="", other_model="gpt-9-preview")
    bot.refresh_from_db()
    assert bot.model == "gpt-9-preview"
    assert '<option value="gpt-9-preview" selected>' in page(alex.client().get(f"/agents/{bot.pk}/"))


def test_another_provider_lets_go_of_the_old_key(alex, bot):
    save(alex.client(), bot, provider="mistral", model="mistral-small-latest")
    bot.refresh_from_db()
    assert (bot.provider, bot.provider_key) == ("mistral", None)


def test_choosing_a_provider_swaps_keys_and_models(alex, bot):
    html = page(alex.client().get(f"/agents/{bot.pk}/provider/", {"provider": "anthropic"}))
    assert "claude-haiku-4-5" in html
    assert "gpt-4o" not in html
    assert "<html" not in html


def test_custom_asks_for_its_address(alex, bot):
    assert "Base URL" in page(alex.client().get(f"/agents/{bot.pk}/provider/", {"provider": "custom"}))
    save(alex.client(), bot, provider="custom", base_url="https://llm.alex.example/v1/", model="llama3.2")
    bot.refresh_from_db()
    assert (bot.provider, bot.provider_key.base_url) == ("custom", "https://llm.alex.example/v1")


def test_without_a_script_a_button_swaps_them_and_saves_nothing(alex, bot):
    html = page(save(alex.client(), bot, provider="groq", api_key=PASTED, switch="1"))
    assert "llama-3.3-70b-versatile" in html
    assert PASTED not in html
    bot.refresh_from_db()
    assert bot.provider == "openai"


def test_a_key_with_a_space_is_refused_and_not_shown_again(alex, bot):
    html = page(save(alex.client(), bot, api_key=f"{PASTED} and more"), 422)
    assert "doesn&#x27;t look like a key" in html
    assert PASTED not in html
    bot.refresh_from_db()
    assert bot.provider_key.open().reveal() == SECRET


def test_a_custom_endpoint_without_an_address_changes_nothing(alex, bot):
    html = page(save(alex.client(), bot, provider="custom", api_key=PASTED), 422)
    assert "Give the address of your endpoint" in html
    assert PASTED not in html
    bot.refresh_from_db()
    assert (bot.provider, bot.provider_key.hint) == ("openai", "sk-…wxyz")


def test_the_old_key_is_not_lost_by_pasting_nothing(alex, bot):
    assert "Paste the new key, or choose one" in page(save(alex.client(), bot), 422)


def test_the_echo_provider_is_offered_only_where_it_can_be_reached(alex, bot, settings):
    settings.PROVIDER_BASE_URL = lambda provider, default: default
    assert "Echo (built in)" not in page(alex.client().get(f"/agents/{bot.pk}/"))
    settings.PROVIDER_BASE_URL = lambda provider, default: default or "http://127.0.0.1:9"
    assert "Echo (built in)" in page(alex.client().get(f"/agents/{bot.pk}/"))


def test_three_steps_tick_themselves_and_then_leave(alex):
    agent = services.create_agent(workspace=alex.workspace, name="Bot", by=alex.user)
    url, client = f"/agents/{agent.pk}/", alex.client()
    assert page(client.get(url)).count("Done:") == 0
    save(client, agent, api_key=PASTED)
    assert page(client.get(url)).count("Done:") == 1
    client.post(f"{url}tokens/")
    assert page(client.get(url)).count("Done:") == 2
    AgentToken.objects.update(last_used_at=timezone.now())
    assert "Send the first request" not in page(client.get(url))


def test_alex_renames_pauses_resumes_and_deletes(alex, bot):
    client, url = alex.client(), f"/agents/{bot.pk}/"
    client.post(f"{url}rename/", {"name": "Helpdesk"})
    client.post(f"{url}pause/")
    bot.refresh_from_db()
    assert (bot.name, bot.paused) == ("Helpdesk", True)
    assert "This agent is paused" in page(client.get(url))
    client.post(f"{url}resume/")
    bot.refresh_from_db()
    assert not bot.paused
    assert "Delete Helpdesk?" in page(client.get(f"{url}delete/"))
    assert Agent.objects.living().exists()
    client.post(f"{url}delete/")
    page(client.get(url), 404)


# --- Tokens -------------------------------------------------------------------------------------


def test_a_token_is_shown_once_with_the_request_that_uses_it(alex, bot):
    response = alex.client().post(f"/agents/{bot.pk}/tokens/", {"name": "Laptop"})
    html = page(response)
    secret = html.split('<code id="token">')[1].split("<")[0]
    assert secret.startswith("vtl_agent_")
    assert f"Authorization: Bearer {secret}" in html.replace("&quot;", '"')
    assert "http://testserver/v1" in html
    assert "no-store" in response["cache-control"]
    settings_page = page(alex.client().get(f"/agents/{bot.pk}/"))
    assert secret not in settings_page
    assert AgentToken.objects.get().prefix in settings_page


def test_a_token_is_revoked_after_asking(alex, bot):
    token, _secret = services.create_agent_token(agent=bot, by=alex.user)
    url = f"/agents/{bot.pk}/tokens/{token.pk}/revoke/"
    assert "Revoke the token" in page(alex.client().get(url))
    token.refresh_from_db()
    assert token.revoked_at is None
    alex.client().post(url)
    token.refresh_from_db()
    assert token.revoked_at


# --- Strangers, and those who only see to the bills -----------------------------------------------

PLACES = ["", "provider/", "delete/"]
DEEDS = ["", "rename/", "pause/", "resume/", "delete/", "tokens/", "check-key/"]


@pytest.mark.parametrize("place", PLACES)
def test_to_maya_alexs_agent_is_not_there(maya, bot, place):
    page(maya.client().get(f"/agents/{bot.pk}/{place}"), 404)


@pytest.mark.parametrize("deed", DEEDS)
def test_maya_cannot_touch_alexs_agent(maya, bot, deed):
    page(maya.client().post(f"/agents/{bot.pk}/{deed}", {"provider": "groq", "name": "Mine", "key": "new"}), 404)
    bot.refresh_from_db()
    assert (bot.name, bot.provider, bot.paused, bot.deleted_at) == ("Support Bot", "openai", False, None)
    assert not bot.tokens.exists()


def test_maya_cannot_use_alexs_key_for_her_own_agent(maya, bot):
    mine = services.create_agent(workspace=maya.workspace, name="Mine", by=maya.user)
    html = page(save(maya.client(), mine, key=str(bot.provider_key_id)), 422)
    assert "wxyz" not in html
    mine.refresh_from_db()
    assert mine.provider_key is None


def test_maya_cannot_revoke_alexs_token_through_her_own_agent(maya, alex, bot):
    token, _secret = services.create_agent_token(agent=bot, by=alex.user)
    mine = services.create_agent(workspace=maya.workspace, name="Mine", by=maya.user)
    page(maya.client().post(f"/agents/{mine.pk}/tokens/{token.pk}/revoke/"), 404)
    token.refresh_from_db()
    assert token.revoked_at is None


@pytest.mark.parametrize("deed", DEEDS)
def test_who_sees_to_the_bills_cannot_change_an_agent(bea, bot, deed):
    page(bea.client().post(f"/agents/{bot.pk}/{deed}", {"provider": "groq", "name": "Mine", "key": "new"}), 403)
    bot.refresh_from_db()
    assert (bot.name, bot.provider, bot.paused, bot.deleted_at) == ("Support Bot", "openai", False, None)


def test_who_sees_to_the_bills_may_look(bea, bot):
    html = page(bea.client().get(f"/agents/{bot.pk}/"))
    assert "Check key" not in html
    assert "Make a token</button>" not in html
    page(bea.client().get("/agents/new/"), 403)


def test_nobody_sees_anything_without_logging_in(client, bot):
    for path in ("/agents/", "/agents/new/", f"/agents/{bot.pk}/", "/keys/", "/usage/", f"/usage/{bot.pk}/"):
        assert client.get(path)["location"].startswith("/accounts/login/")


def test_an_agent_that_never_was_is_not_found(alex):
    page(alex.client().get(f"/agents/{uuid4()}/"), 404)


def test_names_are_text_not_markup(alex):
    agent = services.create_agent(workspace=alex.workspace, name="<script>alert(1)</script>", by=alex.user)
    for path in ("/agents/", f"/agents/{agent.pk}/", f"/agents/{agent.pk}/delete/"):
        assert "<script>alert" not in page(alex.client().get(path))
