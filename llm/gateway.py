"""One request's way: admit, call, relay, record. Knows no HTTP server.

However a request ends, it is recorded once, in one ``finally``, by a call that cancellation can't interrupt; and
where it ends well, the record is on disk before the answer's last bytes leave.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog
from django.db import Error

from llm import own, tokens
from llm.answering import OK, Headers, Reply, no_way_left, relay, without
from llm.assignment import as_asked, assigned
from llm.client import Answer, Upstream, UpstreamCut
from llm.errors import (
    AgentNotConfigured,
    AgentPaused,
    CeilingReached,
    GatewayError,
    InvalidRequest,
    NotFound,
    PlansPaused,
    RateLimited,
    ServiceUnavailable,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from llm.exchange import Exchange, line
from llm.feedback import Desk
from llm.health import meaning_of
from llm.idempotency import Once
from llm.limits import Allowed, Ask, Limits
from llm.owners import Owners
from llm.pool import Outcome, Pool, Way
from llm.providers.base import Outgoing, Target
from llm.providers.registry import PROVIDERS
from llm.rate_headers import rate_headers
from llm.requests import Call, MessagesRequest, Read, read_embeddings, read_messages
from llm.snapshot import AgentSnapshot, Snapshots
from metering.journal import Journal, JournalClosed
from metering.record import REQUEST_TYPES, Record

# A Managed request's first byte is due within this, however many ways are tried; each try gets half of what is left.
FIRST_BYTE_WITHIN: Final = 60.0  # seconds
TRY_AT_LEAST: Final = 2.0  # seconds
USUAL_OUTPUT: Final = 1_024  # tokens reserved for an answer whose length the request doesn't bound

JSON: Final = (b"content-type", b"application/json")
# Whoever is on a plan sees one model, whatever answers.
MANAGED_MODEL: Final = "vutler"
MANAGED_MODELS: Final = msgspec.json.encode(
    {"object": "list", "data": [{"id": MANAGED_MODEL, "object": "model", "created": 0, "owned_by": "vutler"}]}
)

log = structlog.get_logger(__name__)


class Found(NamedTuple):
    """What a lookup answers."""

    status: int
    headers: Headers
    body: bytes


class Observer(Protocol):
    """Is told of every request that has ended. Doesn't wait for anything, and keeps nothing of prompts or answers."""

    def observe(self, call: Call, exchange: Exchange, record: Record) -> None:
        """Take note of a request."""
        ...

    def close(self) -> None:
        """Be done with what was taken note of. May take its time: called in a thread."""
        ...


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[msgspec.Raw]


class Gateway:
    """Answers agents' requests: with their owners' providers, or over our own keys for those on a plan."""

    def __init__(
        self,
        *,
        snapshots: Snapshots,
        upstream: Upstream,
        journal: Journal,
        pool: Pool,
        limits: Limits,
        once: Once,
        observers: Sequence[Observer] = (),
        owners: Owners | None = None,
    ) -> None:
        self._snapshots = snapshots
        self._upstream = upstream
        self._journal = journal
        self._pool = pool
        self._limits = limits
        self._once = once
        self._observers = observers
        self._owners = owners
        self._desk = Desk()
        self._settling: set[asyncio.Task[None]] = set()
        self._under_way = 0  # requests whose records are still to come
        # Now, rather than in the midst of requests when the first one is cut.
        tokens.load()

    async def complete(self, call: Call, reply: Reply, *, read: Read, agent: AgentSnapshot | None = None) -> None:
        """Answer a request of the dialect that ``read`` reads: as the agent of its token, or as ``agent``.

        Raises:
            GatewayError: for everything that keeps an answer from beginning.
        """
        agent = _admitted(agent or await self._snapshots.get(call.token))
        request = read(call, agent.target.model if agent.target else MANAGED_MODEL)
        session = ""
        if agent.split and read is not read_embeddings:  # what is compared are models that write
            agent, session = assigned(agent, agent.split, call, request)
        if agent.replaced:
            request = as_asked(request, agent)
        exchange = Exchange(
            request_id=call.id,
            request_type=_request_type(call.headers),
            agent=agent,
            request=request,
            session=session,
        )
        if self._once.concerns(call, exchange):
            async with self._once(call, exchange):
                last = await self._recorded(call, exchange, reply)
        else:
            last = await self._recorded(call, exchange, reply)
        await reply.end(last)

    async def models(self, call: Call, reply: Reply, *, name: str = "") -> None:
        """Answer with the models that the agent's provider offers to its key, or with the one of that ``name``.

        Raises:
            GatewayError: for everything that keeps an answer from beginning.
        """
        agent = _admitted(await self._snapshots.get(call.token))
        found = Found(OK, [JSON], MANAGED_MODELS)
        if agent.target:
            provider = PROVIDERS[agent.target.provider]
            found = await self._looked_up(agent.target, provider.models(agent.target), method="GET")
            found = found._replace(body=provider.models_body(found.status, found.body))
        if name and found.status == OK:
            found = found._replace(body=_one_of(found.body, name))
        await reply.start(found.status, found.headers)
        await reply.end(found.body)

    async def count_tokens(self, call: Call, reply: Reply) -> None:
        """Answer with how many tokens a request for messages is: the provider's count, or else our estimate.

        Raises:
            GatewayError: for everything that keeps an answer from beginning.
        """
        agent = _admitted(await self._snapshots.get(call.token))
        request = read_messages(call, agent.target.model if agent.target else MANAGED_MODEL)
        outgoing = PROVIDERS[agent.target.provider].count_tokens(request, agent.target) if agent.target else None
        if agent.target and outgoing:
            found = await self._looked_up(agent.target, outgoing)
        else:
            body = msgspec.json.encode({"input_tokens": tokens.prompt(request.body)})
            found = Found(OK, [JSON, (b"x-vutler-estimated", b"true")], body)
        await reply.start(found.status, found.headers)
        await reply.end(found.body)

    async def feedback(self, call: Call, reply: Reply) -> None:
        """Take what somebody thought of one of the agent's answers. A paused agent's are still worth something.

        Raises:
            GatewayError: when it isn't taken.
        """
        agent = await self._snapshots.get(call.token)
        taken = await self._desk.take(call.body, agent_id=agent.agent_id)
        await reply.start(OK, [JSON])
        await reply.end(msgspec.json.encode(taken))

    async def close(self) -> None:
        """Wait for what is being settled."""
        await asyncio.gather(*self._settling, return_exceptions=True)
        await self._once.close()
        await self._desk.close()

    async def _looked_up(self, target: Target, outgoing: Outgoing, *, method: str = "POST") -> "Found":
        """Ask something of the provider that costs nothing, and so leaves no record."""
        answer = await self._upstream.send(outgoing, provider=target.provider, method=method)
        try:
            body = await answer.body()
        except UpstreamCut:
            raise UpstreamUnavailable("The provider's answer broke off. Try again.") from None
        finally:
            answer.close()
        return Found(answer.status, answer.headers(), body if answer.status == OK else without(target.key, body))

    async def _recorded(self, call: Call, exchange: Exchange, reply: Reply) -> bytes:
        """Answer within the agent's limits and record what happened; return the answer's last bytes."""
        ask = _ask(exchange)
        if ask:
            await self._let_in(ask, exchange)
        self._under_way += 1
        try:
            last = await self._answered(exchange, reply)
        except GatewayError as error:
            if not exchange.attempts:  # we refused it ourselves
                exchange.status, exchange.http_status = "provider_error", error.status
            raise
        except Exception:
            # A mistake of ours. What the provider had done until then, it bills.
            exchange.status, exchange.http_status = "provider_cut", GatewayError.status
            raise
        finally:
            on_disk = self._record(call, exchange, ask)
        try:
            await on_disk
        except OSError:
            raise ServiceUnavailable("We couldn't record this request, so it wasn't answered. Try again.") from None
        return last

    async def _let_in(self, ask: Ask, exchange: Exchange) -> None:
        anthropic, now = isinstance(exchange.request, MessagesRequest), datetime.now(UTC)
        try:
            allowed = await self._limits.admit(ask)
            if exchange.agent.plan:
                exchange.rate_headers = rate_headers(ask, allowed, anthropic=anthropic, now=now)
        except RateLimited as refusal:
            left = Allowed(requests_left=refusal.requests_left, tokens_left=refusal.tokens_left)
            told = rate_headers(ask, left, anthropic=anthropic, now=now)
            refusal.headers |= {name.decode(): value.decode() for name, value in told}
            raise
        except CeilingReached:
            if self._owners:
                self._owners.refused(exchange.agent, ask.month)
            raise

    async def _answered(self, exchange: Exchange, reply: Reply) -> bytes:
        """Try one way after another until one answers; return the answer's last bytes."""
        if exchange.agent.target:
            return await own.answer(exchange, reply, target=exchange.agent.target, upstream=self._upstream)
        failure: GatewayError | None = None
        deadline = asyncio.get_running_loop().time() + FIRST_BYTE_WITHIN
        for way in await self._ways(exchange.agent):
            try:
                return await self._managed(exchange, way, reply, deadline=deadline)
            except (UpstreamError, InvalidRequest) as error:
                failure = error
            if asyncio.get_running_loop().time() >= deadline:
                break
        exchange.status = "timeout" if isinstance(failure, UpstreamTimeout) else "provider_error"
        # What no route can express is the caller's to mend, and says which field.
        refusal = failure if isinstance(failure, InvalidRequest) else no_way_left(failure)
        exchange.http_status = refusal.status
        raise refusal

    async def _ways(self, agent: AgentSnapshot) -> Iterable[Way]:
        if agent.plan is None:
            return ()
        try:
            return await self._pool.ways(tier=agent.routes or agent.plan.tier, workspace_id=agent.workspace_id)
        except Error:
            raise ServiceUnavailable("We can't look up a way to answer right now. Try again in a moment.") from None

    async def _managed(self, exchange: Exchange, way: Way, reply: Reply, *, deadline: float) -> bytes:
        """Try one way.

        Raises:
            UpstreamError: when another may go better; nothing has reached the caller then.
            InvalidRequest: when this provider can't be asked that.
        """
        target, workspace_id = way.target, exchange.agent.workspace_id
        request = msgspec.structs.replace(exchange.request, model=target.model, names_model=False)
        prepared = PROVIDERS[target.provider].prepare(request, target)
        exchange.attempt(target, target.model, prepared)
        self._pool.begin(way, workspace_id=workspace_id)
        outcome = Outcome()
        answer: Answer | None = None
        try:
            async with asyncio.timeout_at(_until(deadline)) as patience:
                exchange.on_first_byte = lambda: patience.reschedule(None)
                answer = await self._upstream.send(prepared.outgoing, provider=target.provider)
                if meaning_of(answer.status).moves_on:
                    outcome = Outcome(known=True, status=answer.status, retry_after=answer.retry_after)
                    raise UpstreamUnavailable("The provider couldn't answer. Try again in a moment.")
                last = await relay(exchange, answer, reply)
                outcome = Outcome(known=True, status=answer.status)
                return last
        except TimeoutError:
            outcome = Outcome(known=True)
            raise UpstreamTimeout("The answer took too long. Try again.") from None
        except UpstreamError:
            outcome = outcome if outcome.known else Outcome(known=True)
            raise
        finally:
            took = exchange.attempt_ended(status=outcome.status)
            if answer:
                answer.close()
            self._pool.leave(way, outcome, workspace_id=workspace_id, took=took)

    def _record(self, call: Call, exchange: Exchange, ask: Ask | None) -> "asyncio.Future[None]":
        """Hand the exchange's record to the journal. Doesn't wait, so nothing can come between."""
        self._under_way -= 1
        record = exchange.record()
        try:
            on_disk = self._journal.write(line(record), to_come=self._under_way)
        except JournalClosed:
            log.critical("record_not_taken", request_id=exchange.id, reason="the journal is closed")
            raise ServiceUnavailable("We are restarting. Try again in a moment.") from None
        if ask:
            task = asyncio.get_running_loop().create_task(self._settle(ask, exchange))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)
        self._show(call, exchange, record)
        return on_disk

    def _show(self, call: Call, exchange: Exchange, record: Record) -> None:
        try:
            for observer in self._observers:
                observer.observe(call, exchange, record)
        except Exception:  # who only looks on doesn't spoil anything
            log.exception("observer_failed", request_id=exchange.id)

    async def _settle(self, ask: Ask, exchange: Exchange) -> None:
        counted = await self._limits.settle(ask, used=exchange.tokens)
        if counted and self._owners:
            self._owners.counted(exchange.agent, counted)


def _admitted(agent: AgentSnapshot) -> AgentSnapshot:
    if agent.paused:
        raise AgentPaused("This agent is paused. Its owner can resume it in the agent's settings.")
    if agent.plan and agent.plan.paused:
        raise PlansPaused("Agents on a plan are paused here until an open invoice is paid: see Billing.")
    if agent.target is None and agent.plan is None:
        raise AgentNotConfigured("This agent has no provider key and no plan yet. Add one in its settings.")
    return agent


def _until(deadline: float) -> float:
    """Return when to give a way up: half of what is left, so that slow ways don't add up."""
    now = asyncio.get_running_loop().time()
    return now + max((deadline - now) / 2, TRY_AT_LEAST)


def _ask(exchange: Exchange) -> Ask | None:
    """Return what the request wants to use, or None where nothing limits it."""
    agent, request = exchange.agent, exchange.request
    if agent.plan is None and not (agent.requests_per_minute or agent.tokens_per_minute):
        return None
    most_output = request.most_output()
    return Ask(
        agent_id=agent.agent_id,
        request_id=exchange.id,
        month=exchange.month,
        estimate=len(request.body) // tokens.BYTES_PER_TOKEN + (USUAL_OUTPUT if most_output is None else most_output),
        ceiling=agent.plan.most_tokens if agent.plan else None,
        requests_per_minute=agent.requests_per_minute,
        tokens_per_minute=agent.tokens_per_minute,
    )


def _one_of(models: bytes, name: str) -> bytes:
    """Return the model of that name from a list of them."""
    try:
        listed = msgspec.json.decode(models, type=_Models).data
    except (msgspec.MsgspecError, UnicodeDecodeError):
        listed = []
    for raw in listed:
        if msgspec.json.decode(raw, type=_Model).id == name:
            return bytes(raw)
    raise NotFound(f"There is no model {name} here.", param="model")


def _request_type(headers: Mapping[bytes, bytes]) -> str:
    name = headers.get(b"x-vutler-request-type", b"chat").decode("latin-1")
    if name not in REQUEST_TYPES:
        raise InvalidRequest("x-vutler-request-type is chat, email or tool.", param="x-vutler-request-type")
    return name
