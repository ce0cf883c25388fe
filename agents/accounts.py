"""How django-allauth and django-axes behave here: sign-up, log-in and their e-mails."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.core.mail import EmailMultiAlternatives
from django.http import HttpRequest

from agents import services
from agents.mail import dress
from agents.models import Invitation

INVITATION_KEY = "invitation"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up, log-in and their e-mails."""

    def render_mail(self, *args: Any, **kwargs: Any) -> EmailMultiAlternatives:
        """Return the text e-mail with the product's HTML beside it."""
        message: EmailMultiAlternatives = super().render_mail(*args, **kwargs)
        dress(message)
        return message

    def is_email_verified(self, request: HttpRequest, email: str) -> bool:
        """Tell whether signing up needs no proof of the address: the invitation's link went there."""
        invited = remembered_invitation(request)
        if invited and invited[0].email.lower() == email.lower():
            return True
        return bool(super().is_email_verified(request, email))


def remember_invitation(request: HttpRequest, token: str) -> None:
    """Keep an invitation's token in this browser's session for the sign-up that may follow."""
    request.session[INVITATION_KEY] = token


def remembered_invitation(request: HttpRequest) -> tuple[Invitation, str] | None:
    """Return the open invitation that this browser came with, and its token."""
    token = request.session.get(INVITATION_KEY, "")
    invitation = services.open_invitation(token) if token else None
    return (invitation, token) if invitation else None


def login_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """Return the address that django-axes counts failures for, in one spelling.

    allauth names it ``login`` in the form and ``email`` in the credentials.
    """
    for source in (credentials or {}, request.POST):
        for name in ("email", "login"):
            if source.get(name):
                return str(source[name]).strip().lower()
    return ""
