"""The management API, as a program and as a person in a browser use it."""

import json

import pytest
from django.core.management import call_command
from django.test import Client

from agents import services
from agents.models import Agent, AuditEntry, Member, ProviderKey, Role
from llm import api as llm_api
from llm.key_check import KeyCheck
from tests.agents.program import JSON, Program, program_of


@pytest.fixture
def program(alex) -> Program:
    return program_of(alex)


# --- Agents -------------------------------------------------------------------------------------


def test_alex_creates_an_agent_with_a_key_in_one_request(program):
    answer = program.post(
        "agents/",
        {"name": "Bot", "template": "faq-bot", "provider": "mistral", "model": "mistral-small-latest"}
        | {"api_key": "ms-0123456789abcdef"},
    )
    assert answer.status_code == 201
    shown = answer.json()
    agent = Agent.objects.get(pk=shown["id"])
    assert shown == {
        "id": str(agent.pk),
        "name": "Bot",
        "template": "faq-bot",
        "mode": "byokey",
        "provider": "mistral",
        "model": "mistral-small-latest",
        "base_url": "",
        "key": str(agent.provider_key_id),
        "key_hint": "ms-…cdef",
        "key_trouble": "",
        "backup_key": None,
        "backup_key_hint": "",
        "backup_model": "",
        "tier": None,
        "next_tier": None,
        "changes_on": None,
        "overage_ceiling": None,
        "requests_per_minute": 6_000,
        "tokens_per_minute": 10_000_000,
        "paused": False,
        "created_at": agent.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert ProviderKey.objects.get(pk=shown["key"]).open().reveal() == "ms-0123456789abcdef"


def test_what_a_program_did_is_in_the_audit_under_its_token(program, alex):
    program.post("agents/", {"name": "Bot", "api_key": "sk-0123456789abcdef"})
    actions = set(AuditEntry.objects.filter(actor__startswith="vtl_ws_").values_list("action", flat=True))
    assert actions == {"agent.created", "key.saved", "key.attached"}


def test_an_agent_whose_key_is_refused_is_not_created(program):
    answer = program.post("agents/", {"name": "Bot", "api_key": "two words"})
    assert answer.status_code == 400
    assert list(answer.json()) == ["api_key"]
    assert not Agent.objects.exists()


def test_a_new_key_for_an_agent_is_saved_beside_the_old_one(program, bot):
    answer = program.patch(f"agents/{bot.pk}/", {"api_key": "sk-new-0123456789-new1"})
    assert answer.json()["key_hint"] == "sk-…new1"
    assert ProviderKey.objects.count() == 2


def test_a_saved_key_serves_another_agent(program, bot):
    answer = program.post("agents/", {"name": "Second", "key": str(bot.provider_key_id)})
    assert answer.status_code == 201
    assert answer.json()["key_hint"] == "sk-…wxyz"
    shared = program.get(f"keys/{bot.provider_key_id}/").json()
    assert set(shared["agents"]) == {str(bot.pk), answer.json()["id"]}


def test_a_key_of_another_provider_does_not_fit(program, bot):
    answer = program.patch(f"agents/{bot.pk}/", {"provider": "groq", "key": str(bot.provider_key_id)})
    assert answer.json() == {"key": ["This key is for another provider."]}


def test_either_a_new_key_or_a_saved_one(program, bot):
    answer = program.patch(f"agents/{bot.pk}/", {"api_key": "sk-x", "key": str(bot.provider_key_id)})
    assert list(answer.json()) == ["key"]


def test_an_agent_lets_go_of_its_key(program, bot):
    answer = program.patch(f"agents/{bot.pk}/", {"key": None})
    assert answer.json()["key"] is None
    assert ProviderKey.objects.count() == 1


def test_sending_back_what_was_read_changes_nothing(program, bot):
    before = program.get(f"agents/{bot.pk}/").json()
    entries = AuditEntry.objects.count()
    answer = program.patch(f"agents/{bot.pk}/", before)
    assert answer.json() == before
    assert AuditEntry.objects.count() == entries


def test_another_provider_lets_go_of_the_key(program, bot):
    answer = program.patch(f"agents/{bot.pk}/", {"provider": "anthropic"})
    assert answer.json()["key_hint"] == ""


def test_pausing_and_resuming(program, bot):
    assert program.patch(f"agents/{bot.pk}/", {"paused": True, "name": "Sleeper"}).json()["paused"] is True
    assert program.get(f"agents/{bot.pk}/").json()["paused"] is True
    assert program.patch(f"agents/{bot.pk}/", {"paused": False}).json()["paused"] is False


def test_a_deleted_agent_is_gone(program, bot):
    assert program.delete(f"agents/{bot.pk}/").status_code == 204
    assert program.get(f"agents/{bot.pk}/").status_code == 404
    assert program.get("agents/").json()["results"] == []


def test_an_agent_keeps_its_template(program, bot):
    assert list(program.patch(f"agents/{bot.pk}/", {"template": "faq-bot"}).json()) == ["template"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": ["x"]}, "name"),
        ({"name": "Bot", "provider": "nobody"}, "provider"),
        ({"name": "Bot", "template": "nothing"}, "template"),
        ({"name": "Bot", "mode": "free"}, "mode"),
        ({"name": "Bot", "key": "not-an-id"}, "key"),
        ({"name": "Bot", "paused": "perhaps"}, "paused"),
        ({"name": "Bot", "base_url": "https://elsewhere.example"}, "base_url"),
        ({"name": "Bot", "provider": "custom", "base_url": "ftp://x"}, "base_url"),
        ({"name": "Bot", "provider": "custom", "api_key": "x"}, "base_url"),
    ],
)
def test_what_is_wrong_is_said_by_field(program, body, field):
    answer = program.post("agents/", json.dumps(body))
    assert answer.status_code == 400
    assert list(answer.json()) == [field]


@pytest.mark.parametrize("body", ["", "{", "[]", '"x"', "null", "[" * 100_000, '{"name": NaN}'])
def test_a_body_that_cannot_be_read(program, body):
    answer = program.post("agents/", body or b"")
    assert answer.status_code == 400
    assert answer["content-type"] == JSON


def test_a_body_of_twenty_megabytes(program):
    assert program.post("agents/", json.dumps({"name": "x" * 20_000_000})).status_code == 413


# --- Custom endpoints ---------------------------------------------------------------------------


@pytest.fixture
def custom(program) -> dict[str, str]:
    """Alex's agent on a server of his own, with a key."""
    answer = program.post(
        "agents/",
        {"name": "Own", "provider": "custom", "base_url": "https://llm.alex.example/v1", "api_key": "own-secret"},
    )
    shown: dict[str, str] = answer.json()
    return shown


def test_an_endpoint_without_a_key(program):
    answer = program.post("agents/", {"name": "Own", "provider": "custom", "base_url": "http://127.0.0.1:11434/v1/"})
    assert answer.status_code == 201
    assert answer.json()["base_url"] == "http://127.0.0.1:11434/v1"


def test_an_address_changes_only_together_with_the_key(program, custom):
    path, elsewhere = f"agents/{custom['id']}/", "https://evil.example/v1"
    assert list(program.patch(path, {"base_url": elsewhere}).json()) == ["api_key"]
    assert list(program.patch(f"keys/{custom['key']}/", {"base_url": elsewhere}).json()) == ["api_key"]
    answer = program.patch(path, {"base_url": elsewhere, "api_key": "other"})
    assert answer.json()["base_url"] == elsewhere
    assert ProviderKey.objects.get(pk=custom["key"]).base_url == "https://llm.alex.example/v1"


def test_a_new_key_stays_at_the_same_address(program, custom):
    answer = program.patch(f"agents/{custom['id']}/", {"api_key": "other"})
    assert answer.json()["base_url"] == "https://llm.alex.example/v1"


# --- Tokens -------------------------------------------------------------------------------------


def test_a_token_is_shown_once(program, bot):
    made = program.post(f"agents/{bot.pk}/tokens/", {"name": "Laptop"})
    assert made.status_code == 201
    token = made.json()["token"]
    assert token.startswith("vtl_agent_")
    (listed,) = program.get(f"agents/{bot.pk}/tokens/").json()["results"]
    assert listed["name"] == "Laptop"
    assert token not in json.dumps(listed)
    assert program.delete(f"agents/{bot.pk}/tokens/{listed['id']}/").status_code == 204
    assert program.delete(f"agents/{bot.pk}/tokens/{listed['id']}/").status_code == 404
    assert program.get(f"agents/{bot.pk}/tokens/").json()["results"] == []


# --- Keys ---------------------------------------------------------------------------------------


def test_a_key_from_saving_to_forgetting(program):
    saved = program.post("keys/", {"provider": "groq", "api_key": "gsk_0123456789abcdef", "name": "Main"})
    assert saved.status_code == 201
    path = f"keys/{saved.json()['id']}/"
    changed = program.patch(path, {"name": "First", "api_key": "gsk_0123456789zzzzzz"}).json()
    assert (changed["name"], changed["hint"], changed["agents"]) == ("First", "gsk…zzzz", [])
    assert list(program.patch(path, {"provider": "openai"}).json()) == ["provider"]
    assert program.delete(path).status_code == 204
    assert program.get("keys/").json() == {"next": None, "previous": None, "results": []}


def test_a_key_needs_a_secret(program):
    assert list(program.post("keys/", {"provider": "groq"}).json()) == ["api_key"]


# --- Checking a key -----------------------------------------------------------------------------


@pytest.fixture
def checked(monkeypatch) -> list[dict[str, str]]:
    """What was asked of the check, which finds every key in order."""
    asked = []

    def check_key(*, secret, **where):
        asked.append({**where, "secret": secret.reveal()})
        return KeyCheck(ok=True, problem="", detail="The key works.", models=["m-1"])

    monkeypatch.setattr(llm_api, "check_key", check_key)
    return asked


def test_checking_the_saved_key(program, bot, checked):
    answer = program.post(f"agents/{bot.pk}/check-key/")
    assert answer.json() == {
        "ok": True,
        "provider": "openai",
        "problem": "",
        "detail": "The key works.",
        "models": ["m-1"],
    }
    assert checked == [
        {"provider": "openai", "base_url": "", "model": "gpt-4o-mini", "secret": "sk-alex-0123456789-wxyz"}
    ]


def test_checking_a_key_before_saving_it(program, bot, checked):
    program.post(f"agents/{bot.pk}/check-key/", {"provider": "groq", "api_key": "gsk_1"})
    assert checked == [{"provider": "groq", "base_url": "", "model": "", "secret": "gsk_1"}]


def test_a_saved_key_is_never_sent_elsewhere(program, bot, checked):
    answer = program.post(f"agents/{bot.pk}/check-key/", {"provider": "custom", "base_url": "https://evil.example"})
    assert list(answer.json()) == ["api_key"]
    assert checked == []


def test_an_agent_without_a_key(program, alex):
    agent = services.create_agent(workspace=alex.workspace, name="Bare", by=alex.user)
    answer = program.post(f"agents/{agent.pk}/check-key/").json()
    assert (answer["ok"], answer["detail"]) == (False, "This agent has no key yet.")


def test_a_key_that_does_not_open_any_more(program, bot):
    ProviderKey.objects.update(sealed_secret="v1.00000000.AAAA")
    answer = program.post(f"agents/{bot.pk}/check-key/").json()
    assert (answer["ok"], answer["detail"]) == (False, "This key can't be read any more. Paste it again.")


# --- Catalogues ---------------------------------------------------------------------------------


def test_the_catalogues(program):
    tiers = program.get("tiers/").json()["results"]
    assert tiers[1] == {
        "tier": "standard",
        "name": "Pro",
        "fee": "10.00",
        "included_tokens": 5_000_000,
        "overage_per_million": "3.00",
        "popular": True,
    }
    assert [each["id"] for each in program.get("providers/").json()["results"]] == [
        "openai",
        "anthropic",
        "minimax",
        "groq",
        "mistral",
        "openrouter",
        "custom",
    ]
    assert len(program.get("templates/").json()["results"]) == 5


def test_the_built_in_provider_is_offered_where_it_has_an_address(program, settings):
    settings.PROVIDER_BASE_URL = lambda provider, default: "http://127.0.0.1:1/v1"
    assert program.get("providers/").json()["results"][-1]["id"] == "echo"


# --- Lists --------------------------------------------------------------------------------------


def test_pages_neither_repeat_nor_skip(program, alex):
    for number in range(5):
        services.create_agent(workspace=alex.workspace, name=f"Bot {number}", by=alex.user)
    first = program.get("agents/", page_size=2).json()
    services.create_agent(workspace=alex.workspace, name="Late", by=alex.user)
    names, following = [each["name"] for each in first["results"]], first["next"]
    while following:
        page = program.get(following.split("/api/v1/")[1]).json()
        names += [each["name"] for each in page["results"]]
        following = page["next"]
    assert names == ["Bot 4", "Bot 3", "Bot 2", "Bot 1", "Bot 0"]


# --- People in a browser ------------------------------------------------------------------------


def test_elena_uses_the_api_with_her_session(elena):
    assert elena.client().post("/api/v1/agents/", {"name": "Bot"}, content_type=JSON).status_code == 201
    assert elena.client().get("/api/v1/agents/").json()["results"][0]["name"] == "Bot"


def test_a_session_needs_the_csrf_token_to_change_something(elena):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(elena.user, backend="django.contrib.auth.backends.ModelBackend")
    answer = browser.post("/api/v1/agents/", {"name": "Bot"}, content_type=JSON)
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["detail"]


def test_the_accountant_reads_and_does_not_change(alex, maya, bot):
    Member.objects.filter(user=maya.user).delete()
    Member.objects.create(workspace=alex.workspace, user=maya.user, role=Role.BILLING)
    browser = maya.client()
    assert browser.get(f"/api/v1/agents/{bot.pk}/").status_code == 200
    for answer in (
        browser.post("/api/v1/agents/", {"name": "Bot"}, content_type=JSON),
        browser.patch(f"/api/v1/agents/{bot.pk}/", {"name": "Mine"}, content_type=JSON),
        browser.delete(f"/api/v1/agents/{bot.pk}/"),
        browser.post(f"/api/v1/agents/{bot.pk}/tokens/", {}, content_type=JSON),
        browser.post(f"/api/v1/agents/{bot.pk}/check-key/", {}, content_type=JSON),
        browser.post("/api/v1/keys/", {"provider": "groq", "api_key": "gsk_1"}, content_type=JSON),
        browser.delete(f"/api/v1/keys/{bot.provider_key_id}/"),
    ):
        assert answer.status_code == 403
        assert "billing only" in answer.json()["detail"]


def test_somebody_without_a_workspace(maya):
    Member.objects.all().delete()
    assert maya.client().get("/api/v1/agents/").status_code == 403


def test_nobody(client):
    answer = client.get("/api/v1/agents/")
    assert answer.status_code == 401
    assert answer["www-authenticate"] == "Bearer"


# --- The document -------------------------------------------------------------------------------


def test_the_schema_is_whole(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_the_schema_and_its_page_are_for_everybody(client):
    assert (
        "/api/v1/agents/{agent_id}/check-key/"
        in client.get("/api/v1/schema/", headers={"accept": JSON}).json()["paths"]
    )
    page = client.get("/api/v1/docs/")
    assert page.status_code == 200
    assert b"<style" not in page.content


def test_an_address_that_is_none(client):
    for path in ("/api/v1/", "/api/v1/agent", "/api/v1/agents"):
        answer = client.post(path)
        assert answer.status_code == 404
        assert "end in a slash" in answer.json()["detail"]
