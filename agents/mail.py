"""How e-mails look, and the ones of this room. The text is written once; the HTML is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from agents import key_health
from agents.crypto import Secret
from agents.models import INVITATION_LIFE, Agent, Invitation, ProviderKey, Role, User


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of an e-mail. One that is nothing but a link becomes a button."""

    text: str

    @property
    def is_link(self) -> bool:
        """Whether this is a link alone."""
        return self.text.startswith(("https://", "http://")) and not any(each.isspace() for each in self.text)


def dress(message: EmailMultiAlternatives) -> None:
    """Give a text e-mail its HTML side: paragraphs, buttons, and the last paragraph as the foot."""
    *paragraphs, foot = [part.strip() for part in str(message.body).split("\n\n") if part.strip()]
    page = render_to_string(
        "account/email/page.html",
        {"subject": message.subject, "paragraphs": [Paragraph(text) for text in paragraphs], "foot": foot},
    )
    message.attach_alternative(page, "text/html")


def letter(*, subject: str, text: str, to: Sequence[str]) -> EmailMultiAlternatives:
    """Return an e-mail with both sides. The names of things in its subject can't add headers."""
    # Django refuses line breaks in a subject, so they become spaces.
    message = EmailMultiAlternatives(" ".join(subject.split()), text.strip(), to=to)
    dress(message)
    return message


def owners_of(workspace_id: UUID) -> list[User]:
    """Return who is told of what happens in a workspace: its owners."""
    mine = User.objects.filter(memberships__workspace=workspace_id, memberships__role=Role.OWNER, is_active=True)
    return list(mine.order_by("pk"))


def send_invitation(request: HttpRequest, *, invitation: Invitation, token: Secret) -> None:
    """Send the link that takes up an invitation."""
    text = render_to_string(
        "account/email/invitation_message.txt",
        {
            "offer": invitation,
            "url": request.build_absolute_uri(reverse("agents:invitation", args=[token.reveal()])),
            "days": INVITATION_LIFE.days,
        },
    )
    subject = _("%(workspace)s invites you to Vutler") % {"workspace": invitation.workspace.name}
    letter(subject=subject, text=text, to=[invitation.email]).send()


def tell_of_refused_key(*, key_id: UUID, at: datetime) -> None:
    """Tell the owners of a key that its provider refuses it, unless somebody does or did; each in their language.

    Raises:
        OSError: when the message can't be sent. It may be tried again then.
    """
    if not key_health.may_tell(key_id=key_id, at=at):
        return
    key = ProviderKey.objects.select_related("workspace").get(pk=key_id)
    try:
        get_connection().send_messages([_of_refused_key(key, owner) for owner in owners_of(key.workspace_id)])
    except OSError:
        key_health.not_told(key_id=key_id, at=at)
        raise


def _of_refused_key(key: ProviderKey, owner: User) -> EmailMultiAlternatives:
    with translation.override(owner.language or settings.LANGUAGE_CODE):
        context = {
            "key": key,
            "agents": key_health.stuck_with(key),
            "url": f"{settings.SITE_URL}{reverse('agents:key', args=[key.pk])}",
        }
        text = render_to_string("account/email/key_refused_message.txt", context)
        subject = _("%(provider)s refuses your key %(hint)s") % {"provider": key.provider_name, "hint": key.hint}
        return letter(subject=subject, text=text, to=[owner.email])


def tell_of_pause(*, agent: Agent, used: int = 0, usual: int = 0) -> None:
    """Tell an agent's owners that staff paused it, each in their language.

    ``used``: the tokens of the hour that it was paused for, beside those of its usual one; 0 for another reason.

    Raises:
        OSError: when the message can't be sent. The agent is paused all the same.
    """
    told = owners_of(agent.workspace_id)
    get_connection().send_messages([_of_pause(agent, owner, used=used, usual=usual) for owner in told])


def _of_pause(agent: Agent, owner: User, *, used: int, usual: int) -> EmailMultiAlternatives:
    with translation.override(owner.language or settings.LANGUAGE_CODE):
        context = {
            "agent": agent,
            "used": number_format(used, force_grouping=True) if used else "",
            "usual": number_format(usual, force_grouping=True),
            "url": f"{settings.SITE_URL}{reverse('agents:agent', args=[agent.pk])}",
        }
        text = render_to_string("account/email/agent_paused_message.txt", context)
        subject = _("We have paused %(agent)s") % {"agent": agent.name}
        return letter(subject=subject, text=text, to=[owner.email])
