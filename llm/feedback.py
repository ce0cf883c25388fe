"""What people thought of answers, at ``POST /v1/feedback`` and on pages: one a request, the last word counts."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Annotated, Final, Literal, TypeVar
from uuid import UUID

import msgspec
import structlog
from django.db import Error, close_old_connections, connections
from django.utils import timezone
from msgspec import Meta

from llm.errors import InvalidRequest, NotFound, ServiceUnavailable
from llm.models import Feedback
from llm.requests import read_fields
from metering.models import UsageRecord
from metering.store import StoreUnavailable, get_store

THUMBS: Final = {"up": 1.0, "down": 0.0}
LONGEST_LABEL: Final = 40
# A record is in the store a moment after its answer has ended; who gives feedback at once may be ahead of it.
STORED_WITHIN: Final = 5.0  # seconds
LOOK_EVERY: Final = 0.1  # seconds

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """Feedback as a program sends it: a score from 0 to 1, or a thumb."""

    request_id: Annotated[str, Meta(max_length=64)]
    score: Annotated[float, Meta(ge=0, le=1)] | None = None
    thumbs: Literal["up", "down"] | None = None
    label: Annotated[str, Meta(max_length=LONGEST_LABEL)] = ""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Feedback as it was taken."""

    request_id: str
    score: float
    label: str


_decode: Final = msgspec.json.Decoder(Given).decode


class Desk:
    """Takes feedback, in a thread and over a connection of its own: only those pay who give some."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feedback")

    async def take(self, body: bytes, *, agent_id: str) -> Taken:
        """Keep what somebody thought of one of the agent's answers.

        Raises:
            InvalidRequest: when it can't be read as feedback; names the field.
            NotFound: when the agent made no such request.
            ServiceUnavailable: when that can't be told or kept now.
        """
        given = read_fields(_decode, body)
        score, label = _score(given), given.label.strip()
        if not label.isprintable():
            raise InvalidRequest("A label is plain text on one line.", param="label")
        try:
            record = await self._record(given.request_id, agent_id=agent_id)
            await self._in_thread(partial(keep, record, score=score, label=label, at=timezone.now()))
        except (Error, StoreUnavailable) as error:
            log.warning("feedback_not_kept", error=type(error).__name__)
            raise ServiceUnavailable("We can't keep feedback right now. Try again in a moment.") from None
        return Taken(request_id=str(record.pk), score=score, label=label)

    async def close(self) -> None:
        """End the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, connections.close_all)
        self._thread.shutdown(wait=False)

    async def _record(self, request_id: str, *, agent_id: str) -> UsageRecord:
        try:
            wanted = UUID(request_id)
        except ValueError:
            raise _unknown(request_id) from None
        while not (found := await self._in_thread(partial(request_of, wanted))):
            # Its first 48 bits are when it was made (milliseconds): what is old, or never was, isn't waited for.
            if not 0 <= time.time() - (wanted.int >> 80) / 1_000 < STORED_WITHIN:
                raise _unknown(request_id)
            await asyncio.sleep(LOOK_EVERY)
        if str(found.agent_id) != agent_id:
            raise _unknown(request_id)
        return found

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _on_a_live_connection, work)


def request_of(request_id: UUID) -> UsageRecord | None:
    """Return the record of a request, whoever made it; None where there is none.

    Raises:
        StoreUnavailable: when the meter's database is away.
    """
    return next(iter(get_store().find([request_id])), None)


def keep(record: UsageRecord, *, score: float, label: str = "", at: datetime) -> None:
    """Keep what somebody thought of an answer, in place of what was thought of it before."""
    thought = Feedback(
        request_id=record.pk,
        agent_id=record.agent_id,
        score=score,
        label=label,
        arm=record.experiment_arm,
        session=record.session or "",
        given_at=at,
    )
    Feedback.objects.bulk_create(
        [thought], update_conflicts=True, unique_fields=["request_id"], update_fields=["score", "label", "given_at"]
    )


def take_back(record: UsageRecord) -> None:
    """Forget what was thought of an answer."""
    Feedback.objects.filter(request_id=record.pk).delete()


def _score(given: Given) -> float:
    if (given.score is None) == (given.thumbs is None):
        raise InvalidRequest("Send a `score` from 0 to 1, or `thumbs`: up or down.", param="score")
    return THUMBS[given.thumbs] if given.thumbs else float(given.score or 0)


def _unknown(request_id: str) -> NotFound:
    return NotFound(f"This agent made no request {request_id}.", param="request_id")


def _on_a_live_connection(work: Callable[[], Answer]) -> Answer:
    close_old_connections()
    return work()
