"""Jobs of this room."""

from celery import shared_task
from django.utils import timezone

from agents import key_health
from agents.mail import tell_of_refused_key
from llm import abuse, idempotency
from llm.experiments import results, services


@shared_task
def forget_idempotency_keys() -> int:
    """Delete what is remembered of idempotency keys that are older than a day."""
    return idempotency.forget_expired()


@shared_task
def tell_of_refused_keys() -> None:
    """Tell owners of refused keys what a gateway process didn't come to tell them."""
    now = timezone.now()
    for key in key_health.to_tell(at=now):
        tell_of_refused_key(key_id=key.pk, at=now)


@shared_task
def watch_for_abuse() -> None:
    """Show staff the agents that suddenly use many times what they usually do."""
    abuse.look(at=timezone.now())


@shared_task
def look_at_experiments() -> None:
    """Keep what has come of each experiment today, and end those that have gone on for long enough."""
    now = timezone.now()
    results.look_at_all(at=now)
    services.end_old(at=now)
