"""The addresses of pages about workspaces, people, agents and keys."""

from django.urls import path

from agents.views import front, people, workspace

app_name = "agents"

urlpatterns = [
    path("", front.home, name="home"),
    path("theme/", front.theme, name="theme"),
    path("settings/", workspace.settings, name="settings"),
    path("settings/members/", people.members, name="members"),
    path("settings/members/<int:member_id>/role/", people.change_role, name="change_role"),
    path("settings/members/<int:member_id>/remove/", people.remove, name="remove_member"),
    path("settings/invitations/<int:invitation_id>/revoke/", people.revoke_invitation, name="revoke_invitation"),
    path("settings/tokens/", workspace.tokens, name="tokens"),
    path("settings/tokens/<uuid:token_id>/revoke/", workspace.revoke_token, name="revoke_workspace_token"),
    path("settings/security/", workspace.security, name="security"),
    path("invitations/<str:token>/", people.invitation, name="invitation"),
    path("workspaces/new/", workspace.new_workspace, name="new_workspace"),
    path("workspaces/<uuid:workspace_id>/switch/", workspace.switch_workspace, name="switch_workspace"),
]
