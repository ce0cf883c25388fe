"""Who is asking the management API: a program with a workspace token, or a person with a session."""

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from agents.models import User, WorkspaceToken, digest


class TokenHolder:
    """A program: it is authenticated, and it isn't a person."""

    is_authenticated = True
    is_active = True
    is_staff = False
    pk = None


class WorkspaceTokenAuthentication(BaseAuthentication):
    """Reads ``Authorization: Bearer vtl_ws_…``; ``request.auth`` becomes the token."""

    keyword = "Bearer"

    def authenticate(self, request: Request) -> tuple[Any, WorkspaceToken] | None:
        """Return the holder and the token, or None where no bearer token is given.

        Raises:
            AuthenticationFailed: for a token that is unknown or revoked.
        """
        keyword, _space, value = get_authorization_header(request).decode("latin-1").partition(" ")
        if keyword.lower() != "bearer":
            return None
        token = WorkspaceToken.objects.select_related("workspace").filter(digest=digest(value), revoked_at=None).first()
        if token is None:
            raise AuthenticationFailed(_("This workspace token isn't valid. Make a new one under Settings, Tokens."))
        token.touch()
        return TokenHolder(), token

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """Make a missing token a 401, not a 403."""
        return self.keyword


class InWorkspace(BasePermission):
    """Lets in tokens, and people who belong to a workspace."""

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        """Tell whether the request has a workspace to be about."""
        if isinstance(request.auth, WorkspaceToken):
            return True
        return isinstance(request.user, User) and request.user.memberships.exists()
