"""The staff's pages: what they show, what they change, and what they never do."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.test import Client
from django.urls import reverse

from agents import key_health, services
from agents.models import Agent, AgentToken, AuditEntry, Member, ProviderKey, Role, User, Workspace
from agents.trouble import Trouble
from tests.conftest import PASSWORD, browser_of

PAGES = ("workspace", "user", "agent", "providerkey", "agenttoken", "workspacetoken", "auditentry")
SECRET = "sk-alex-0123456789-wxyz"


def changelist(model: str) -> str:
    return reverse(f"admin:agents_{model}_changelist")


def change(row) -> str:
    return reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[row.pk])


@pytest.fixture
def helper(db) -> User:
    """A member of staff who may look at everything and change agents and people, and no more."""
    user = User.objects.create_user("helper@vutler.example", PASSWORD, is_staff=True)
    user.user_permissions.set(
        [
            *Permission.objects.filter(codename__startswith="view_"),
            *Permission.objects.filter(codename__in=["change_agent", "change_user"]),
        ]
    )
    return user


# --- Who gets in --------------------------------------------------------------------------------


def test_the_admin_is_entered_through_the_sites_login(db, client):
    answer = client.get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/accounts/login/?next=")
    assert client.post("/admin/login/", {"username": "staff@vutler.example", "password": PASSWORD}).status_code == 302


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/login/?next=/admin/"])
def test_a_customer_is_refused(elena, path):
    assert elena.client().get(path).status_code == 403


def test_a_customer_sees_no_page(elena):
    for page in PAGES:
        assert elena.client().get(changelist(page)).status_code == 302


# --- What they show -----------------------------------------------------------------------------


def test_every_list_and_every_row_can_be_looked_at(staff, alex, bot):
    services.create_agent_token(agent=bot, by=alex.user, name="Laptop")
    services.create_workspace_token(workspace=alex.workspace, by=alex.user, name="CI")
    services.pause_agent(agent=bot, by=alex.user)
    rows = [alex.workspace, alex.user, bot, bot.provider_key, bot.tokens.get(), alex.workspace.tokens.get()]
    rows.append(AuditEntry.objects.latest("at"))
    for page, row in zip(PAGES, rows, strict=True):
        for path in (changelist(page), change(row)):
            answer = staff.get(path)
            assert answer.status_code == 200
            said = answer.content.decode()
            assert SECRET not in said
            assert ProviderKey.objects.get().sealed_secret not in said


def test_workspaces_are_found_by_their_members(staff, elena, alex):
    for wanted in ("Alex & Co", "alex@alex.example", str(alex.workspace.pk)):
        said = staff.get(changelist("workspace"), {"q": wanted}).content.decode()
        assert "Alex &amp; Co" in said
        assert "Elena &amp; Co" not in said


@pytest.mark.parametrize("wanted", ["nothing", "%", "0", "' OR 1=1", "é"])
@pytest.mark.parametrize("page", PAGES)
def test_searches_that_find_nothing(staff, bot, page, wanted):
    assert staff.get(changelist(page), {"q": wanted}).status_code == 200


def test_lists_do_not_ask_once_a_row(staff, alex, bot, django_assert_max_num_queries):
    for number in range(20):
        agent = services.create_agent(workspace=alex.workspace, name=f"Bot {number}", by=alex.user)
        services.create_agent_token(agent=agent, by=alex.user)
    for page in PAGES:
        with django_assert_max_num_queries(10):
            assert staff.get(changelist(page)).status_code == 200


# --- What they change ---------------------------------------------------------------------------


def act(browser: Client, page: str, action: str, *rows) -> None:
    browser.post(changelist(page), {"action": action, "_selected_action": [row.pk for row in rows]})


def test_staff_see_which_keys_are_refused_and_why(staff, bot):
    key = ProviderKey.objects.get()
    assert "Works" in staff.get(changelist("providerkey")).content.decode()
    at = datetime(2026, 2, 16, 10, 42, tzinfo=UTC)
    key_health.key_fails(key_id=key.pk, as_of=key.changed_at, trouble=Trouble.NO_CREDIT, at=at)
    said = "OpenAI has refused this key since February 16, 10:42 UTC: it has no credit left."
    assert said in staff.get(changelist("providerkey"), {"trouble__isempty": "0"}).content.decode()
    assert said in staff.get(change(key)).content.decode()
    assert said not in staff.get(changelist("providerkey"), {"trouble__exact": "wrong_key"}).content.decode()


def test_staff_pause_and_resume_agents(staff, alex, bot):
    other = services.create_agent(workspace=alex.workspace, name="Other", by=alex.user)
    act(staff, "agent", "pause", bot, other)
    assert Agent.objects.filter(paused_at=None).count() == 0
    assert {each.subject for each in mail.outbox} == {"We have paused Support Bot", "We have paused Other"}
    act(staff, "agent", "resume", bot)
    assert list(Agent.objects.filter(paused_at=None)) == [bot]
    actors = AuditEntry.objects.filter(action__in=["agent.paused", "agent.resumed"]).values_list("actor", flat=True)
    assert list(actors) == ["staff@vutler.example"] * 3


def test_staff_revoke_tokens(staff, alex, bot):
    token, _secret = services.create_agent_token(agent=bot, by=alex.user)
    act(staff, "agenttoken", "revoke", token)
    assert AgentToken.objects.get().revoked_at is not None
    assert AuditEntry.objects.get(action="token.revoked").actor == "staff@vutler.example"


def test_a_workspace_is_renamed_on_the_record(staff, alex):
    members = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    staff.post(change(alex.workspace), {"name": "Alexandria", **members})
    assert Workspace.objects.get().name == "Alexandria"
    entry = AuditEntry.objects.get(action="workspace.renamed")
    assert (entry.actor, entry.detail) == ("staff@vutler.example", {"was": "Alex & Co"})


def test_whoever_may_only_look_does_not_act(helper, alex, bot):
    token, _secret = services.create_agent_token(agent=bot, by=alex.user)
    browser = browser_of(helper)
    act(browser, "agenttoken", "revoke", token)
    assert AgentToken.objects.get().revoked_at is None
    act(browser, "agent", "pause", bot)
    assert Agent.objects.get().paused


# --- What they never do -------------------------------------------------------------------------


def test_nothing_is_added_or_deleted_here(staff, alex, bot):
    services.create_agent_token(agent=bot, by=alex.user)
    services.create_workspace_token(workspace=alex.workspace, by=alex.user)
    rows = [alex.workspace, alex.user, bot, bot.provider_key, bot.tokens.get(), alex.workspace.tokens.get()]
    rows.append(AuditEntry.objects.latest("at"))
    for page, row in zip(PAGES, rows, strict=True):
        assert staff.get(reverse(f"admin:agents_{page}_add")).status_code == 403
        assert staff.post(change(row).replace("/change/", "/delete/"), {"post": "yes"}).status_code == 403
        act(staff, page, "delete_selected", row)
    assert (Workspace.objects.count(), Agent.objects.count(), ProviderKey.objects.count()) == (1, 1, 1)


def test_keys_tokens_and_the_trail_are_not_edited(staff, alex, bot):
    token, _secret = services.create_agent_token(agent=bot, by=alex.user)
    for row in (bot, bot.provider_key, token, AuditEntry.objects.latest("at")):
        assert staff.post(change(row), {"name": "Mine", "actor": "nobody"}).status_code == 403


def test_members_are_not_changed_behind_their_owners_back(staff, alex, elena):
    member = Member.objects.get(workspace=alex.workspace)
    staff.post(
        change(alex.workspace),
        {
            "name": alex.workspace.name,
            "memberships-TOTAL_FORMS": 1,
            "memberships-INITIAL_FORMS": 1,
            "memberships-0-id": member.pk,
            "memberships-0-workspace": alex.workspace.pk,
            "memberships-0-user": elena.user.pk,
            "memberships-0-role": Role.MEMBER,
            "memberships-0-DELETE": "on",
        },
    )
    member.refresh_from_db()
    assert (member.user, member.role) == (alex.user, Role.OWNER)


def test_staff_do_not_make_themselves_superusers(helper):
    browser = browser_of(helper)
    answer = browser.post(
        change(helper), {"first_name": "Hank", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    )
    assert answer.status_code == 302
    helper.refresh_from_db()
    assert (helper.first_name, helper.is_superuser) == ("Hank", False)


def test_a_superuser_is_left_to_superusers(helper, staff):
    boss = User.objects.get(is_superuser=True)
    assert browser_of(helper).post(change(boss), {"first_name": "Hank"}).status_code == 403


def test_what_second_factors_are_made_from_has_no_page(staff):
    for path in ("/admin/mfa/authenticator/", "/admin/account/emailaddress/", "/admin/axes/accessattempt/"):
        assert staff.get(path).status_code == 404


# --- The policy ---------------------------------------------------------------------------------


def test_only_the_admin_has_the_wider_policy(staff, elena):
    assert "'unsafe-eval'" in staff.get("/admin/")["content-security-policy"]
    assert "script-src 'self' 'unsafe-eval'" in staff.get("/admin/")["content-security-policy"]
    assert "unsafe" not in elena.client().get("/api/v1/docs/")["content-security-policy"]
