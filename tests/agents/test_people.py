import re
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from django.utils import timezone

from agents import services
from agents.models import Invitation, Member, Role, User, Workspace, WorkspaceToken
from agents.tasks import forget_expired
from agents.tokens import digest
from tests.conftest import PASSWORD


def invited_link(browser, email="new@elena.example", role=Role.MEMBER) -> str:
    browser.post("/settings/members/", {"email": email, "role": role})
    return str(re.findall(r"http://testserver(/invitations/\S+/)", str(mail.outbox[-1].body))[0])


def join(person, workspace, role) -> Client:
    """Give a person a place in somebody's workspace and return their browser, acting there."""
    Member.objects.create(workspace=workspace, user=person.user, role=role)
    browser: Client = person.client()
    browser.post(f"/workspaces/{workspace.pk}/switch/")
    return browser


# --- Invitations --------------------------------------------------------------------------------


def test_an_invited_person_signs_up_into_the_workspace_that_invited_them(elena):
    link = invited_link(elena.client(), role=Role.ADMIN)
    visitor = Client()
    assert "Join Elena &amp; Co" in visitor.get(link).text
    form = visitor.get("/accounts/signup/").text
    assert 'value="new@elena.example"' in form
    assert "Company" not in form

    # Another address in the request changes nothing: the offer is for this one.
    visitor.post("/accounts/signup/", {"email": "other@elena.example", "password1": PASSWORD})

    member = elena.workspace.memberships.get(user__email="new@elena.example")
    assert member.role == Role.ADMIN
    assert Workspace.objects.count() == 1
    assert EmailAddress.objects.get(email="new@elena.example").verified
    assert visitor.get(link).status_code == 410


def test_an_invited_person_with_an_account_logs_in_and_joins(elena, alex):
    link = invited_link(elena.client(), "alex@alex.example")
    visitor = Client()
    visitor.get(link)
    answer = visitor.post(
        f"/accounts/login/?next={link}", {"login": "alex@alex.example", "password": PASSWORD, "next": link}
    )
    assert answer["Location"] == link
    visitor.post(link)

    assert elena.workspace.memberships.get(user=alex.user).role == Role.MEMBER
    assert visitor.get("/settings/").context["member"].workspace == elena.workspace


def test_an_invitation_isnt_for_whoever_holds_the_link(elena, alex):
    link = invited_link(elena.client(), "maya@maya.example")
    browser = alex.client()

    assert "This invitation is for somebody else" in browser.get(link).text
    assert "sent to another address" in browser.post(link, follow=True).text
    assert not elena.workspace.memberships.filter(user=alex.user).exists()


def test_an_invitation_expires_after_seven_days(elena, alex):
    link = invited_link(elena.client(), "alex@alex.example")
    Invitation.objects.update(created_at=timezone.now() - timedelta(days=7))

    assert alex.client().post(link).status_code == 410
    assert not elena.workspace.memberships.filter(user=alex.user).exists()


def test_an_invitation_works_once(elena, alex):
    link = invited_link(elena.client(), "alex@alex.example")
    browser = alex.client()
    browser.post(link)
    services.remove_member(member=elena.workspace.memberships.get(user=alex.user), by=elena.user)

    assert browser.post(link).status_code == 410
    assert not elena.workspace.memberships.filter(user=alex.user).exists()


def test_a_withdrawn_invitation_stops_working(elena, alex):
    browser = elena.client()
    link = invited_link(browser, "alex@alex.example")
    browser.post(f"/settings/invitations/{Invitation.objects.get().pk}/revoke/")

    assert alex.client().post(link).status_code == 410
    assert elena.workspace.audit_entries.first().sentence == "withdrew the invitation of alex@alex.example"


def test_inviting_again_replaces_the_first_link(elena, alex):
    browser = elena.client()
    first = invited_link(browser, "alex@alex.example")
    second = invited_link(browser, "Alex@alex.example")

    assert alex.client().get(first).status_code == 410
    assert alex.client().get(second).status_code == 200


def test_a_member_isnt_invited_again(elena):
    answer = elena.client().post("/settings/members/", {"email": "elena@elena.example", "role": Role.ADMIN})

    assert answer.status_code == 422
    assert "is already a member" in answer.text
    assert mail.outbox == []


def test_an_invitation_is_stored_as_a_digest_only(elena):
    token = invited_link(elena.client()).split("/")[2]

    stored = Invitation.objects.values().get()
    assert token not in str(stored)
    assert stored["token_digest"] == digest(token)


def test_a_workspaces_name_cant_add_headers_to_the_email(elena):
    services.rename_workspace(workspace=elena.workspace, name="Flowers\nBcc: all@elena.example", by=elena.user)
    invited_link(elena.client())

    assert mail.outbox[0].subject == "Flowers Bcc: all@elena.example invites you to Vutler"


def test_the_night_forgets_what_has_expired(elena):
    invited_link(elena.client(), "old@elena.example")
    Invitation.objects.update(created_at=timezone.now() - timedelta(days=8))
    invited_link(elena.client(), "new@elena.example")
    forget_expired()

    assert [each.email for each in Invitation.objects.all()] == ["new@elena.example"]


# --- Roles --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "allowed"), [(Role.OWNER, True), (Role.ADMIN, True), (Role.BILLING, False), (Role.MEMBER, False)]
)
def test_who_may_manage_people(elena, alex, maya, role, allowed):
    browser = join(alex, elena.workspace, role)
    other = Member.objects.create(workspace=elena.workspace, user=maya.user, role=Role.MEMBER)
    page = browser.get("/settings/members/").text
    assert ("Send invitation" in page) == allowed
    assert (f"/settings/members/{other.pk}/remove/" in page) == allowed

    invite = browser.post("/settings/members/", {"email": "new@elena.example", "role": Role.MEMBER})
    change = browser.post(f"/settings/members/{other.pk}/role/", {"role": Role.BILLING})
    rename = browser.post("/settings/", {"name": "Roses"})
    remove = browser.post(f"/settings/members/{other.pk}/remove/")

    expected = 302 if allowed else 403
    assert [each.status_code for each in (invite, change, rename, remove)] == [expected] * 4
    assert Member.objects.filter(pk=other.pk).exists() != allowed
    assert len(mail.outbox) == int(allowed)


def test_an_admin_makes_nobody_an_owner(elena, alex):
    browser = join(alex, elena.workspace, Role.ADMIN)
    mine = alex.user.memberships.get(workspace=elena.workspace)
    browser.post(f"/settings/members/{mine.pk}/role/", {"role": Role.OWNER})
    invite = browser.post("/settings/members/", {"email": "new@elena.example", "role": Role.OWNER})

    mine.refresh_from_db()
    assert mine.role == Role.ADMIN
    assert invite.status_code == 422
    assert not Invitation.objects.exists()


def test_an_admin_doesnt_remove_an_owner(elena, alex):
    browser = join(alex, elena.workspace, Role.ADMIN)
    owner = elena.workspace.memberships.get(user=elena.user)
    Member.objects.create(workspace=elena.workspace, user=User.objects.create_user("b@b.example"), role=Role.OWNER)
    answer = browser.post(f"/settings/members/{owner.pk}/remove/", follow=True)

    assert "Only an owner can do this to an owner." in answer.text
    assert Member.objects.filter(pk=owner.pk).exists()


def test_the_last_owner_can_neither_leave_nor_step_down(elena):
    browser = elena.client()
    me = elena.workspace.memberships.get()
    leave = browser.post(f"/settings/members/{me.pk}/remove/", follow=True)
    step_down = browser.post(f"/settings/members/{me.pk}/role/", {"role": Role.MEMBER}, follow=True)

    assert "A workspace needs an owner" in leave.text
    assert "A workspace needs an owner" in step_down.text
    me.refresh_from_db()
    assert me.role == Role.OWNER


def test_a_member_leaves_by_themselves(elena, alex):
    browser = join(alex, elena.workspace, Role.MEMBER)
    mine = alex.user.memberships.get(workspace=elena.workspace)
    browser.post(f"/settings/members/{mine.pk}/remove/")

    assert not Member.objects.filter(pk=mine.pk).exists()
    assert browser.get("/settings/").context["member"].workspace == alex.workspace


# --- Somebody else's things -----------------------------------------------------------------------


def test_another_workspaces_people_and_tokens_answer_404(elena, alex):
    theirs = alex.workspace.memberships.get()
    offer, _secret = services.invite(workspace=alex.workspace, email="n@alex.example", role=Role.MEMBER, by=alex.user)
    token, _secret = services.create_workspace_token(workspace=alex.workspace, by=alex.user, name="CI")
    browser = elena.client()

    for url in (
        f"/settings/members/{theirs.pk}/role/",
        f"/settings/members/{theirs.pk}/remove/",
        f"/settings/invitations/{offer.pk}/revoke/",
        f"/settings/tokens/{token.pk}/revoke/",
    ):
        assert browser.post(url, {"role": Role.MEMBER}).status_code == 404
    token.refresh_from_db()
    assert token.revoked_at is None


# --- Workspace tokens -----------------------------------------------------------------------------


def test_a_workspace_token_is_shown_once_and_kept_as_a_digest(elena):
    browser = elena.client()
    made = browser.post("/settings/tokens/", {"name": "Deploy script"})
    (token,) = re.findall(r"vtl_ws_[\w-]{43}", made.text)

    assert made["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    later = browser.get("/settings/tokens/").text
    assert "Deploy script" in later
    assert token not in later
    stored = WorkspaceToken.objects.values().get()
    assert token not in str(stored)
    assert stored["digest"] == digest(token)
    assert token not in str(list(elena.workspace.audit_entries.values()))


def test_a_revoked_token_is_refused(elena):
    token, secret = services.create_workspace_token(workspace=elena.workspace, by=elena.user, name="CI")
    program = Client(headers={"authorization": f"Bearer {secret.reveal()}"})
    assert program.get("/api/v1/agents/").status_code == 200

    browser = elena.client()
    browser.post(f"/settings/tokens/{token.pk}/revoke/")

    assert program.get("/api/v1/agents/").status_code == 401
    assert browser.get("/settings/tokens/").context["tokens"].count() == 0


# --- The audit trail ------------------------------------------------------------------------------


def test_the_trail_tells_who_did_what_a_page_at_a_time(elena):
    for number in range(30):
        services.rename_workspace(workspace=elena.workspace, name=f"Name {number}", by=elena.user)
    browser = elena.client()
    newest, oldest = browser.get("/settings/security/").text, browser.get("/settings/security/?page=2").text

    assert "Renamed the workspace from Name 28 to Name 29" in newest
    assert "Opened the workspace Elena &amp; Co" in oldest
    assert "to Name 29" not in oldest


def test_the_trail_is_for_those_who_manage_people(elena, alex):
    browser = join(alex, elena.workspace, Role.MEMBER)

    assert "Who changed what" not in browser.get("/settings/security/").text
