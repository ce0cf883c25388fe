"""Jobs of this room."""

from celery import shared_task

from llm import idempotency


@shared_task
def forget_idempotency_keys() -> int:
    """Delete what is remembered of idempotency keys that are older than a day."""
    return idempotency.forget_expired()
