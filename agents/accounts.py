"""How django-allauth and django-axes behave here: sign-up, log-in and their e-mails."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from agents import services
from agents.models import Invitation

INVITATION_KEY = "invitation"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up, log-in and their e-mails."""


def remember_invitation(request: HttpRequest, token: str) -> None:
    """Keep an invitation's token in this browser's session for the sign-up that may follow."""
    request.session[INVITATION_KEY] = token


def remembered_invitation(request: HttpRequest) -> tuple[Invitation, str] | None:
    """Return the open invitation that this browser came with, and its token."""
    token = request.session.get(INVITATION_KEY, "")
    invitation = services.open_invitation(token) if token else None
    return (invitation, token) if invitation else None


def login_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """Return the address that django-axes counts failures for, whichever form it was typed in.

    allauth names it ``login`` in the form and ``email`` in the credentials; the admin names it ``username``.
    """
    for source in (credentials or {}, request.POST):
        for name in ("email", "username", "login"):
            if source.get(name):
                return str(source[name]).strip().lower()
    return ""
