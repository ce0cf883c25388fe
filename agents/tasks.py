"""Jobs of this room."""

from celery import shared_task
from django.contrib.sessions.models import Session
from django.utils import timezone

from agents.models import INVITATION_LIFE, Invitation


@shared_task
def forget_expired() -> None:
    """Delete sessions and open invitations that no longer work."""
    now = timezone.now()
    Session.objects.filter(expire_date__lt=now).delete()
    Invitation.objects.filter(accepted_at=None, created_at__lte=now - INVITATION_LIFE).delete()
