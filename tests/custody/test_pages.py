"""The page about a workspace's data."""

import pytest

from agents.models import AuditEntry, Member, Role, Workspace
from tests.agents.test_agent_pages import page

pytestmark = pytest.mark.django_db

DATA, DELETE = "/settings/data/", "/settings/data/delete/"


def kept(person) -> int:
    return Workspace.objects.get(pk=person.workspace.pk).keep_months


def test_how_long_requests_are_kept_is_chosen(alex):
    html = page(alex.client().get(DATA))
    assert '<option value="13" selected>13 months</option>' in html
    assert '<option value="14"' not in html
    assert alex.client().post(DATA, {"months": "6"}).status_code == 302
    assert kept(alex) == 6
    assert AuditEntry.objects.latest("at").sentence == "chose to keep requests for 6 months (before: 13)"


@pytest.mark.parametrize("months", ["0", "14", "24", "-3", "six", ""])
def test_what_is_not_offered_is_not_taken(alex, months):
    page(alex.client().post(DATA, {"months": months}), 422)
    assert kept(alex) == 13


def test_a_workspace_is_deleted_by_typing_its_name(elena):
    client = elena.client()
    page(client.post(DELETE, {"name": "Elena"}), 422)
    assert Workspace.objects.get(pk=elena.workspace.pk).closed_at is None
    assert client.post(DELETE, {"name": "elena & co "}).headers["location"] == "/agents/"
    assert Workspace.objects.get(pk=elena.workspace.pk).closed_at is not None
    assert client.get(DATA).headers["location"] == "/workspaces/new/"


def test_an_admin_neither_sees_nor_does_it(elena, maya):
    Member.objects.filter(user=maya.user).delete()
    Member.objects.create(workspace=elena.workspace, user=maya.user, role=Role.ADMIN)
    assert "Delete the workspace" not in page(maya.client().get(DATA))
    page(maya.client().post(DELETE, {"name": "Elena & Co"}), 403)
    assert Workspace.objects.get(pk=elena.workspace.pk).closed_at is None
