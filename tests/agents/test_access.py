import pytest

from agents import services
from agents.models import Member, Role


def test_who_isnt_logged_in_is_sent_to_log_in(client, db):
    assert client.get("/settings/").url == "/accounts/login/?next=/settings/"


def test_a_page_is_about_the_first_workspace_until_another_is_chosen(elena, alex):
    Member.objects.create(workspace=alex.workspace, user=elena.user, role=Role.ADMIN)
    browser = elena.client()
    assert "Elena &amp; Co" in browser.get("/settings/members/").context["member"].workspace.name.replace("&", "&amp;")

    browser.post(f"/workspaces/{alex.workspace.pk}/switch/")
    assert browser.get("/settings/members/").context["member"].workspace == alex.workspace


def test_somebody_elses_workspace_cant_be_chosen(elena, alex):
    browser = elena.client()

    assert browser.post(f"/workspaces/{alex.workspace.pk}/switch/").status_code == 404
    assert browser.get("/settings/").context["member"].workspace == elena.workspace


def test_a_chosen_workspace_is_left_when_the_membership_ends(elena, alex):
    member = Member.objects.create(workspace=alex.workspace, user=elena.user, role=Role.ADMIN)
    browser = elena.client()
    browser.post(f"/workspaces/{alex.workspace.pk}/switch/")
    services.remove_member(member=member, by=alex.user)

    assert browser.get("/settings/").context["member"].workspace == elena.workspace


def test_who_belongs_nowhere_opens_a_workspace(elena):
    Member.objects.all().delete()
    browser = elena.client()
    assert browser.get("/settings/").url == "/workspaces/new/"
    assert browser.get("/workspaces/new/").status_code == 200

    browser.post("/workspaces/new/", {"name": "Roses"})
    assert browser.get("/settings/").context["member"].workspace.name == "Roses"


@pytest.mark.parametrize(
    ("role", "status"), [(Role.OWNER, 200), (Role.ADMIN, 200), (Role.BILLING, 403), (Role.MEMBER, 403)]
)
def test_only_owners_and_admins_see_workspace_tokens(elena, alex, role, status):
    Member.objects.create(workspace=elena.workspace, user=alex.user, role=role)
    browser = alex.client()
    browser.post(f"/workspaces/{elena.workspace.pk}/switch/")
    answer = browser.get("/settings/tokens/")

    assert answer.status_code == status
    assert ("Only owners and admins" in answer.text) == (status == 403)


def test_pages_that_arent_there_look_like_the_rest(elena):
    answer = elena.client().get("/nothing/")

    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


def test_the_error_page_needs_neither_database_nor_request():
    from django.template.loader import render_to_string

    assert "Something broke on our side" in render_to_string("500.html")
