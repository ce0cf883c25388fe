"""Asks the columns of a comparison the same thing at the same time, through the gateway like any request.

So each is metered, limited and, on a plan, counted in the agent's allowance and kept under its ceiling. Whoever stops
listening cancels what is still being answered.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from llm.answering import OK
from llm.compare.listening import Listening
from llm.errors import GatewayError, RateLimited
from llm.gateway import Gateway
from llm.requests import Call, read_messages
from llm.snapshot import AgentSnapshot
from llm.witness import Witness
from metering.record import PICO, Record
from metering.usage import record_id

MOST_OUTPUT: Final = 2_048  # tokens of an answer: enough to judge it by
MOST_WAITS: Final = 5  # times that a question waits for its agent's limit a minute
SHORTEST_WAIT: Final = 1.0  # seconds

# Besides the codes of llm.errors: what an answer's ``code`` can be.
STOPPED: Final = "stopped"
PROVIDER: Final = "provider_error"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What goes to one column. ``column`` is its number; ``agent`` answers as it says."""

    column: int
    agent: AgentSnapshot
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A piece of a column's answer."""

    column: int
    text: str


@dataclass(slots=True, kw_only=True)
class Answered:
    """How a column's answer ended. ``ok``, or ``code`` says why not and ``problem`` the provider's words for it.

    Times are ms since the question went out. ``record`` is what the meter got; None where nothing was asked.
    """

    column: int
    ok: bool = False
    code: str = ""
    http_status: int = 0
    problem: str = ""
    first_word_ms: int | None = None
    took_ms: int | None = None
    record: Record | None = None
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The answer, as far as it came."""
        return "".join(self.parts)

    @property
    def cost(self) -> Decimal | None:
        """What it cost at the provider or, on a plan, is worth by its list price, in USD; None where nobody knows."""
        if self.record is None:
            return Decimal()
        managed = self.record.mode == "managed"
        picodollars = self.record.price_total if managed else self.record.cost_total
        return None if picodollars is None else Decimal(picodollars) / PICO


class Round:
    """Several questions asked at once over one process's gateway. ``answers`` fill up as they come."""

    def __init__(self, questions: Sequence[Question], *, gateway: Gateway, witness: Witness) -> None:
        self.answers = [Answered(column=each.column) for each in questions]
        self._questions = questions
        self._gateway = gateway
        self._witness = witness
        self._told: asyncio.Queue[Words | Answered] = asyncio.Queue()

    async def events(self) -> AsyncGenerator[Words | Answered, None]:
        """Ask, and give what is answered as it comes: words, and for each question how its answer ended.

        Closing this (or cancelling who iterates) cancels what is still being answered, at its provider as well.
        """
        pairs = zip(self._questions, self.answers, strict=True)
        tasks = [asyncio.create_task(self._column(question, answered)) for question, answered in pairs]
        try:
            left = len(tasks)
            while left:
                event = await self._told.get()
                left -= isinstance(event, Answered)
                yield event
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _column(self, question: Question, answered: Answered) -> None:
        try:
            await self._with_patience(question, answered)
        except GatewayError as error:
            answered.code, answered.http_status = error.code, error.status
        except Exception as error:
            # One column's misfortune isn't the others'. Without its words, which may quote the prompt.
            log.error("comparison_failed", error=type(error).__name__)
            answered.code = GatewayError.code
        except asyncio.CancelledError:
            answered.code = STOPPED
            raise
        finally:
            self._told.put_nowait(answered)

    async def _with_patience(self, question: Question, answered: Answered) -> None:
        """Ask, and where the agent has had its requests of the minute, ask again once it may."""
        for _wait in range(MOST_WAITS):
            try:
                return await self._once(question, answered)
            except RateLimited as refusal:
                await asyncio.sleep(max(float(refusal.headers.get("retry-after", 0)), SHORTEST_WAIT))
        return await self._once(question, answered)

    async def _once(self, question: Question, answered: Answered) -> None:
        began = time.perf_counter()

        def hear(text: str) -> None:
            if answered.first_word_ms is None:
                answered.first_word_ms = _ms_since(began)
            answered.parts.append(text)
            self._told.put_nowait(Words(column=question.column, text=text))

        call = _call(question.prompt)
        reply = Listening(hear)
        with self._witness.expecting(call.id) as seen:
            try:
                await self._gateway.complete(call, reply, read=read_messages, agent=question.agent)
            finally:
                answered.took_ms, answered.record = _ms_since(began), seen.record
        answered.ok = reply.status == OK and reply.problem is None
        if not answered.ok:
            answered.code, answered.http_status = PROVIDER, reply.status
            answered.problem = reply.problem or ""


def _call(prompt: str) -> Call:
    """Return a request without a token or a model: who answers it, and with what, is given with it."""
    message = {"role": "user", "content": prompt}
    body = msgspec.json.encode({"max_tokens": MOST_OUTPUT, "stream": True, "messages": [message]})
    return Call(id=record_id(), token="", body=body, headers={})


def _ms_since(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)
