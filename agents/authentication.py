"""Who is asking the management API: a program with a workspace token, or a person with a session."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from agents.access import NoWorkspace, member_of
from agents.models import AgentToken, User, Workspace, WorkspaceToken
from agents.tokens import digest


class TokenHolder:
    """A program: it is authenticated, and it isn't a person."""

    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    pk = None


class WorkspaceTokenAuthentication(BaseAuthentication):
    """Reads ``Authorization: Bearer vtl_ws_…``; ``request.auth`` becomes the token."""

    keyword = "Bearer"

    def authenticate(self, request: Request) -> tuple[Any, WorkspaceToken] | None:
        """Return the holder and the token, or None where no bearer token is given.

        Raises:
            AuthenticationFailed: for a token that is unknown, revoked, or an agent's.
        """
        keyword, _space, value = get_authorization_header(request).decode("latin-1").partition(" ")
        if keyword.lower() != self.keyword.lower():
            return None
        value = value.strip()
        if value.startswith(AgentToken.PREFIX):
            raise AuthenticationFailed(_("This is an agent's token, for /v1. Here a workspace token is needed."))
        token = WorkspaceToken.objects.select_related("workspace").filter(digest=digest(value), revoked_at=None).first()
        if token is None:
            raise AuthenticationFailed(_("This workspace token isn't valid. Make a new one under Settings, Tokens."))
        token.touch()
        return TokenHolder(), token

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """Make a missing token a 401, not a 403."""
        return self.keyword


class WorkspaceTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the token in the OpenAPI document."""

    target_class = WorkspaceTokenAuthentication
    name = "workspaceToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        """Return OpenAPI's security scheme."""
        return {"type": "http", "scheme": "bearer", "description": "A workspace token, `vtl_ws_…`."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, in which workspace, and whether they may change agents, keys and tokens there."""

    workspace: Workspace
    by: User | WorkspaceToken
    manages_agents: bool


def caller_of(request: Request) -> Caller:
    """Return on whose behalf the request acts.

    A token acts in its own workspace; a person in the one that their pages are about.

    Raises:
        NoWorkspace: for a person who belongs to none.
    """
    if isinstance(request.auth, WorkspaceToken):
        return Caller(workspace=request.auth.workspace, by=request.auth, manages_agents=True)
    member = member_of(request._request)
    return Caller(workspace=member.workspace, by=member.user, manages_agents=member.manages_agents)


class InWorkspace(BasePermission):
    """Lets in tokens, and people who belong to a workspace."""

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        """Tell whether the request has a workspace to be about, and may do there what it asks.

        Raises:
            PermissionDenied: for somebody whose role or lack of a workspace is in the way; says so.
        """
        if not (request.user and request.user.is_authenticated):
            return False
        try:
            caller = caller_of(request)
        except NoWorkspace:
            raise PermissionDenied(_("You don't belong to a workspace.")) from None
        return self.allows(caller, request)

    def allows(self, caller: Caller, request: Request) -> bool:  # noqa: ARG002
        """Tell whether ``caller`` may do this: here, anything."""
        return True


class ManagesAgents(InWorkspace):
    """Lets everybody of the workspace read, and change only those whose role covers agents."""

    def allows(self, caller: Caller, request: Request) -> bool:
        """Tell whether ``caller`` may do this.

        Raises:
            PermissionDenied: for somebody whose role covers billing only.
        """
        if request.method in SAFE_METHODS or caller.manages_agents:
            return True
        raise PermissionDenied(_("Your role in this workspace covers billing only. An owner or admin can change that."))
