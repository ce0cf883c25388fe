"""The addresses of pages about workspaces, people, agents and keys."""

from django.urls import path

from agents.views import agents, backups, front, keys, pace, people, plans, workspace

app_name = "agents"

urlpatterns = [
    path("", front.home, name="home"),
    path("theme/", front.theme, name="theme"),
    path("agents/", agents.agents, name="agents"),
    path("agents/new/", agents.new, name="new_agent"),
    path("agents/<uuid:agent_id>/", agents.agent, name="agent"),
    path("agents/<uuid:agent_id>/provider/", agents.provider_fields, name="provider_fields"),
    path("agents/<uuid:agent_id>/rename/", agents.rename, name="rename_agent"),
    path("agents/<uuid:agent_id>/pause/", agents.pause, name="pause_agent"),
    path("agents/<uuid:agent_id>/resume/", agents.resume, name="resume_agent"),
    path("agents/<uuid:agent_id>/delete/", agents.delete, name="delete_agent"),
    path("agents/<uuid:agent_id>/plan/", plans.choose, name="plan"),
    path("agents/<uuid:agent_id>/plan/confirm/", plans.confirm, name="confirm_plan"),
    path("agents/<uuid:agent_id>/plan/leave/", plans.leave, name="leave_plan"),
    path("agents/<uuid:agent_id>/plan/limit/", plans.limit, name="limit"),
    path("agents/<uuid:agent_id>/backup/", backups.backup, name="backup"),
    path("agents/<uuid:agent_id>/pace/", pace.pace, name="pace"),
    path("agents/<uuid:agent_id>/tokens/", agents.create_token, name="create_token"),
    path("agents/<uuid:agent_id>/tokens/<uuid:token_id>/revoke/", agents.revoke_token, name="revoke_token"),
    path("keys/", keys.keys, name="keys"),
    path("keys/new/", keys.new, name="new_key"),
    path("keys/<uuid:key_id>/", keys.key, name="key"),
    path("keys/<uuid:key_id>/rename/", keys.rename, name="rename_key"),
    path("keys/<uuid:key_id>/replace/", keys.replace, name="replace_key"),
    path("keys/<uuid:key_id>/delete/", keys.delete, name="delete_key"),
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
