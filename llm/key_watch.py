"""Watches the customers' own keys at work: one that its provider begins to refuse is marked, and its owners are told.

Read off requests that have ended; no call is made for it. Never in a request's way: what has to be written or sent
is done in a thread, and what is lost with the process is made up for by ``llm.tasks.tell_of_refused_keys``.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from django.db import close_old_connections, connections
from django.utils import timezone

from agents import key_health
from agents.mail import tell_of_refused_key
from agents.trouble import Trouble
from llm.exchange import Exchange
from llm.providers.base import SavedKey
from llm.refusals import PASSING, trouble_of
from llm.requests import Call
from metering.record import Record

IN_A_ROW: Final = 5  # refusals that may pass by themselves, without a success between them
OK: Final = 200

log = structlog.get_logger(__name__)

Fails = Callable[[SavedKey, Trouble], None]
Works = Callable[[SavedKey], None]


def fails(key: SavedKey, trouble: Trouble) -> None:
    """Mark a key as refused, and tell its owners if nobody else does."""
    now = timezone.now()
    if key_health.key_fails(key_id=key.id, as_of=key.changed_at, trouble=trouble, at=now):
        log.warning("customer_key_refused", key=str(key.id), trouble=trouble.value)
        tell_of_refused_key(key_id=key.id, at=now)


def works(key: SavedKey) -> None:
    """Take a key's mark away."""
    key_health.key_works(key_id=key.id)


class KeyWatch:
    """Sees every request that has ended (an ``Observer`` of the gateway)."""

    def __init__(self, *, fails: Fails = fails, works: Works = works) -> None:
        """Call ``fails`` and ``works`` in a thread; they may take their time, and be called twice for one thing."""
        self._fails = fails
        self._works = works
        # How often, as last changed, and by whom: only of keys that are being refused.
        self._in_a_row: dict[UUID, tuple[datetime, int]] = {}
        self._under_way: set[UUID] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keys")

    def observe(self, _call: Call, exchange: Exchange, record: Record) -> None:
        """Note which of the owner's keys worked and which were refused."""
        agent, attempts = exchange.agent, record.attempts
        # The backup is asked second, if at all. On a plan the keys are ours: that is the pool's business.
        for target, attempt in zip((agent.target, agent.backup), attempts, strict=False):
            if target is None or target.saved is None:
                continue
            if attempt.status == OK:
                self._worked(target.saved)
            elif trouble := (
                exchange.trouble
                if attempt is attempts[-1]
                else trouble_of(provider=target.provider, status=attempt.status)
            ):
                self._refused(target.saved, trouble)

    def close(self) -> None:
        """Write and send what is still to be, and stop. May take its time: called in a thread."""
        self._thread.submit(connections.close_all)
        self._thread.shutdown()

    def _worked(self, key: SavedKey) -> None:
        if self._in_a_row:
            self._in_a_row.pop(key.id, None)
        if key.refused:
            self._do(key, lambda: self._works(key))

    def _refused(self, key: SavedKey, trouble: Trouble) -> None:
        if key.refused:
            return
        if trouble in PASSING:
            since, count = self._in_a_row.get(key.id, (key.changed_at, 0))
            count = count + 1 if since == key.changed_at else 1
            self._in_a_row[key.id] = (key.changed_at, count)
            if count < IN_A_ROW:
                return
        self._do(key, lambda: self._fails(key, trouble))

    def _do(self, key: SavedKey, job: Callable[[], None]) -> None:
        """Do it in the thread, unless something is being done about the key already."""
        if key.id not in self._under_way:
            self._under_way.add(key.id)
            self._thread.submit(self._try, key, job)

    def _try(self, key: SavedKey, job: Callable[[], None]) -> None:
        try:
            close_old_connections()
            job()
        except Exception:
            log.exception("key_trouble_not_noted", key=str(key.id))
        finally:
            self._under_way.discard(key.id)
