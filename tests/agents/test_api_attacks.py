"""What somebody who shouldn't might try at the management API."""

import json
import uuid

import pytest
from django.test import Client

from agents import services
from agents.access import SESSION_KEY
from agents.models import Agent, AgentToken, Member, ProviderKey, Role, Workspace, WorkspaceToken
from tests.agents.program import JSON, Program, program_of

SECRET = "sk-alex-0123456789-wxyz"


@pytest.fixture
def intruder(stefan) -> Program:
    """A program of another workspace."""
    return program_of(stefan)


def test_nothing_of_another_workspace_can_be_found(intruder, bot):
    token, _secret = services.create_agent_token(agent=bot, by="test")
    answers = [
        intruder.get(f"agents/{bot.pk}/"),
        intruder.patch(f"agents/{bot.pk}/", {"name": "Mine"}),
        intruder.delete(f"agents/{bot.pk}/"),
        intruder.get(f"agents/{bot.pk}/tokens/"),
        intruder.post(f"agents/{bot.pk}/tokens/", {}),
        intruder.delete(f"agents/{bot.pk}/tokens/{token.pk}/"),
        intruder.post(f"agents/{bot.pk}/check-key/", {}),
        intruder.get(f"keys/{bot.provider_key_id}/"),
        intruder.patch(f"keys/{bot.provider_key_id}/", {"name": "Mine"}),
        intruder.delete(f"keys/{bot.provider_key_id}/"),
        intruder.get("usage/records/", agent=bot.pk),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert intruder.get("agents/").json()["results"] == []
    assert intruder.get("keys/").json()["results"] == []
    bot.refresh_from_db()
    assert (bot.name, bot.deleted_at, bot.provider_key is None) == ("Support Bot", None, False)


def test_a_person_finds_nothing_of_another_workspace_either(stefan, bot):
    browser = stefan.client()
    assert browser.get(f"/api/v1/agents/{bot.pk}/").status_code == 404
    assert browser.delete(f"/api/v1/keys/{bot.provider_key_id}/").status_code == 404


@pytest.mark.parametrize("wrong", ["1", "not-an-id", "%00", "é", str(uuid.UUID(int=0)), "' OR 1=1 --"])
def test_ids_that_are_none(intruder, wrong):
    for path in (f"agents/{wrong}/", f"agents/{wrong}/tokens/", f"keys/{wrong}/"):
        answer = intruder.get(path)
        assert answer.status_code == 404
        assert answer["content-type"] == JSON


def test_another_workspaces_key_cannot_be_attached(intruder, bot):
    answer = intruder.post("agents/", {"name": "Thief", "key": str(bot.provider_key_id)})
    assert answer.status_code == 400
    assert answer.json() == {"key": ["There is no such key."]}
    assert not Agent.objects.filter(name="Thief").exists()


def test_a_token_of_one_agent_is_not_revoked_through_another(alex, bot):
    other = services.create_agent(workspace=alex.workspace, name="Other", by=alex.user)
    token, _secret = services.create_agent_token(agent=bot, by=alex.user)
    program = program_of(alex)
    assert program.delete(f"agents/{other.pk}/tokens/{token.pk}/").status_code == 404
    assert program.get(f"agents/{other.pk}/tokens/").json()["results"] == []
    assert AgentToken.objects.get().revoked_at is None


def test_what_nobody_may_set_is_not_set(alex, stefan, bot):
    before = Agent.objects.get()
    answer = program_of(alex).patch(
        f"agents/{bot.pk}/",
        {
            "id": str(uuid.uuid4()),
            "workspace": str(stefan.workspace.pk),
            "workspace_id": str(stefan.workspace.pk),
            "created_at": "2020-01-01T00:00:00Z",
            "deleted_at": "2020-01-01T00:00:00Z",
            "key_hint": "fake",
            "by": "somebody else",
        },
    )
    assert answer.status_code == 200
    after = Agent.objects.get()
    assert (after.pk, after.workspace_id, after.created_at, after.deleted_at) == (
        before.pk,
        alex.workspace.pk,
        before.created_at,
        None,
    )


def test_a_new_key_belongs_to_whoever_saves_it(alex, stefan):
    program_of(alex).post("keys/", {"provider": "groq", "api_key": "gsk_1", "workspace": str(stefan.workspace.pk)})
    assert ProviderKey.objects.get().workspace == alex.workspace


def test_a_revoked_token(alex):
    program = program_of(alex)
    services.revoke_token(token=WorkspaceToken.objects.get(), by=alex.user)
    answer = program.get("agents/")
    assert answer.status_code == 401
    assert "isn't valid" in answer.json()["detail"]


def test_an_agents_token_opens_nothing_here(bot):
    _token, secret = services.create_agent_token(agent=bot, by="test")
    answer = Program(secret.reveal()).get("agents/")
    assert answer.status_code == 401
    assert "an agent's token" in answer.json()["detail"]
    assert secret.reveal() not in answer.content.decode()


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer vtl_ws_", "Bearer \xff", "Basic YTpi", "x", ""])
def test_headers_that_are_no_token(db, header):
    assert Client(headers={"authorization": header}).get("/api/v1/agents/").status_code == 401


def test_a_bad_token_is_not_saved_by_a_good_session(alex):
    browser = alex.client()
    assert browser.get("/api/v1/agents/", headers={"authorization": "Bearer vtl_ws_x"}).status_code == 401


def test_the_secret_is_in_no_answer(alex, bot):
    program = program_of(alex)
    answers = [
        program.get("agents/"),
        program.get(f"agents/{bot.pk}/"),
        program.patch(f"agents/{bot.pk}/", {"api_key": SECRET}),
        program.patch(f"agents/{bot.pk}/", {"api_key": SECRET, "name": ""}),
        program.patch(f"agents/{bot.pk}/", {"api_key": [SECRET]}),
        program.patch(f"agents/{bot.pk}/", {"api_key": f"{SECRET} {SECRET}"}),
        program.post("agents/", {"name": "Bot", "api_key": SECRET, "provider": "custom"}),
        program.post("keys/", {"provider": "openai", "api_key": SECRET}),
        program.patch(f"keys/{bot.provider_key_id}/", {"api_key": SECRET}),
        program.get("keys/"),
        program.get(f"keys/{bot.provider_key_id}/"),
    ]
    said = " ".join(answer.content.decode() for answer in answers)
    assert "0123456789" not in said
    assert not any(key.sealed_secret in said for key in ProviderKey.objects.all())


def test_somebody_elses_workspace_cannot_be_chosen(alex, stefan, bot):
    browser = stefan.client()
    session = browser.session
    session[SESSION_KEY] = str(alex.workspace.pk)
    session.save()
    assert browser.get("/api/v1/agents/").json()["results"] == []


def test_the_role_is_that_of_the_chosen_workspace(alex, stefan, bot):
    Member.objects.create(workspace=alex.workspace, user=stefan.user, role=Role.BILLING)
    browser = stefan.client()
    session = browser.session
    session[SESSION_KEY] = str(alex.workspace.pk)
    session.save()
    assert len(browser.get("/api/v1/agents/").json()["results"]) == 1
    assert browser.post("/api/v1/agents/", {"name": "Bot"}, content_type=JSON).status_code == 403


def test_leaving_the_workspace_ends_access_at_once(alex, stefan, bot):
    Member.objects.filter(user=stefan.user).delete()
    Member.objects.create(workspace=alex.workspace, user=stefan.user, role=Role.ADMIN)
    browser = stefan.client()
    assert browser.get(f"/api/v1/agents/{bot.pk}/").status_code == 200
    Member.objects.filter(user=stefan.user).delete()
    assert browser.get(f"/api/v1/agents/{bot.pk}/").status_code == 403


def test_forms_are_not_json(alex):
    browser = alex.client()
    assert browser.post("/api/v1/agents/", {"name": "Bot"}).status_code == 415
    assert Workspace.objects.get().agents.count() == 0


def test_putting_is_not_offered(alex, bot):
    browser = alex.client()
    answer = browser.put(f"/api/v1/agents/{bot.pk}/", json.dumps({"name": "Bot"}), content_type=JSON)
    assert answer.status_code == 405
