"""The e-mails of this room. Text and HTML, in the reader's language as far as we know it."""

from django.core.mail import send_mail
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from agents.crypto import Secret
from agents.models import INVITATION_LIFE, Invitation


def send_invitation(request: HttpRequest, *, invitation: Invitation, token: Secret) -> None:
    """Send the link that takes up an invitation."""
    context = {
        "offer": invitation,
        "url": request.build_absolute_uri(reverse("agents:invitation", args=[token.reveal()])),
        "days": INVITATION_LIFE.days,
    }
    send_mail(
        subject=_("%(workspace)s invites you to Vutler") % {"workspace": invitation.workspace.name},
        message=render_to_string("account/email/invitation_message.txt", context),
        html_message=render_to_string("account/email/invitation_message.html", context),
        from_email=None,
        recipient_list=[invitation.email],
    )
