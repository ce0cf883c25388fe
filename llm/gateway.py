"""One request's way: admit, call, relay, record. Knows no HTTP server.

However a request ends, it is recorded once, in one ``finally``, by a call that cancellation can't interrupt; and
where it ends well, the record is on disk before the answer's last bytes leave.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

import structlog

from agents.models import Mode
from llm.client import Answer, Upstream, UpstreamCut, UpstreamStalled
from llm.errors import (
    AgentNotConfigured,
    AgentPaused,
    GatewayError,
    InvalidRequest,
    ServiceUnavailable,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from llm.exchange import Exchange
from llm.providers.base import Target
from llm.providers.registry import PROVIDERS
from llm.requests import Call, Read
from llm.snapshot import AgentSnapshot, Snapshots
from metering.journal import Journal, JournalClosed
from metering.record import REQUEST_TYPES

OK: Final = 200
BROKEN_OFF: Final = "The provider's answer broke off. What came until here is all there is."

Headers = list[tuple[bytes, bytes]]

log = structlog.get_logger(__name__)


class Reply(Protocol):
    """Where an answer goes. ``end`` without ``send`` before it makes a whole answer."""

    async def start(self, status: int, headers: Headers) -> None:
        """Announce the status and headers."""
        ...

    async def send(self, data: bytes) -> None:
        """Send a part of the body."""
        ...

    async def end(self, data: bytes) -> None:
        """Send the last part of the body."""
        ...


class Gateway:
    """Answers agents' requests with their owners' providers."""

    def __init__(self, *, snapshots: Snapshots, upstream: Upstream, journal: Journal) -> None:
        self._snapshots = snapshots
        self._upstream = upstream
        self._journal = journal

    async def complete(self, call: Call, reply: Reply, *, read: Read) -> None:
        """Answer a request of the dialect that ``read`` reads.

        Raises:
            GatewayError: for everything that keeps an answer from beginning.
        """
        agent, target = await self._admit(call)
        request = read(call, target.model)
        outgoing, relay, dropped = PROVIDERS[target.provider].prepare(request, target)
        exchange = Exchange(
            request_id=call.id,
            request_type=_request_type(call.headers),
            agent=agent,
            target=target,
            request=request,
            relay=relay,
            dropped=dropped,
        )
        try:
            answer = await self._upstream.send(outgoing, provider=target.provider)
            try:
                exchange.provider_status = exchange.http_status = answer.status
                relayed = _stream if request.stream and answer.status == OK and answer.is_event_stream else _whole
                last = await relayed(exchange, answer, reply)
            finally:
                answer.close()
        except UpstreamTimeout as error:
            exchange.status, exchange.http_status = "timeout", error.status
            raise
        except UpstreamUnavailable as error:
            if exchange.provider_status is None:
                exchange.status = "unreachable"
            exchange.http_status = error.status
            raise
        finally:
            on_disk = self._record(exchange)
        await _settled(on_disk)
        await reply.end(last)

    async def models(self, call: Call, reply: Reply) -> None:
        """Answer with the models that the agent's provider offers to its key.

        Raises:
            GatewayError: for everything that keeps an answer from beginning.
        """
        _agent, target = await self._admit(call)
        provider = PROVIDERS[target.provider]
        answer = await self._upstream.send(provider.models(target), provider=target.provider, method="GET")
        try:
            body = await answer.body()
        except UpstreamCut:
            raise UpstreamUnavailable("The provider's answer broke off. Try again.") from None
        finally:
            answer.close()
        await reply.start(answer.status, answer.headers())
        await reply.end(provider.models_body(answer.status, body))

    async def _admit(self, call: Call) -> tuple[AgentSnapshot, Target]:
        """Return who is asking, and where the request would go."""
        agent = await self._snapshots.get(call.token)
        if agent.paused:
            raise AgentPaused("This agent is paused. Its owner can resume it in the agent's settings.")
        if agent.target is None:
            what = "a plan" if agent.mode == Mode.MANAGED else "a provider key"
            raise AgentNotConfigured(f"This agent has no {what} yet. Add one in the agent's settings.")
        return agent, agent.target

    def _record(self, exchange: Exchange) -> "asyncio.Future[None]":
        """Hand the exchange's record to the journal. Doesn't wait, so nothing can come between."""
        try:
            return self._journal.write(exchange.line())
        except JournalClosed:
            log.critical("record_not_taken", request_id=exchange.id, reason="the journal is closed")
            raise ServiceUnavailable("We are restarting. Try again in a moment.") from None


async def _settled(on_disk: "asyncio.Future[None]") -> None:
    try:
        await on_disk
    except OSError:
        raise ServiceUnavailable("We couldn't record this request, so it wasn't answered. Try again.") from None


async def _whole(exchange: Exchange, answer: Answer, reply: Reply) -> bytes:
    """Read a whole answer and announce it; return the body, to be sent once it's recorded."""
    try:
        body = await answer.body()
    except UpstreamCut as cut:
        raise _before_first_byte(exchange, cut) from None
    exchange.first_byte()
    body = exchange.relay.whole(answer.status, body)
    exchange.status = "ok" if answer.status == OK and exchange.relay.complete else "provider_error"
    await reply.start(answer.status, answer.headers() + _about(exchange))
    return body


async def _stream(exchange: Exchange, answer: Answer, reply: Reply) -> bytes:
    """Pass a stream on as it comes; return its end, to be sent once it's recorded."""
    relay = exchange.relay
    begun = False
    cut: UpstreamCut | None
    try:
        while not relay.failed and (chunk := await answer.read()):
            ready = relay.feed(chunk)
            if not ready:
                continue
            if not begun:
                begun = True
                exchange.first_byte()
                await reply.start(OK, answer.headers() + _about(exchange))
            await reply.send(ready)
        last = relay.finish()
        cut = None if relay.complete else UpstreamCut()
    except UpstreamCut as broken:
        cut = broken
    if cut and not begun:
        raise _before_first_byte(exchange, cut) from None
    if cut:
        exchange.status = "timeout" if isinstance(cut, UpstreamStalled) else "provider_cut"
        return relay.broken_off(UpstreamUnavailable(BROKEN_OFF))
    exchange.status = "ok"
    if not begun:
        await reply.start(OK, answer.headers() + _about(exchange))
    return last


def _before_first_byte(exchange: Exchange, cut: UpstreamCut) -> GatewayError:
    if isinstance(cut, UpstreamStalled):
        return UpstreamTimeout("The provider took too long to answer. Try again.")
    exchange.status = "provider_cut"
    return UpstreamUnavailable("The provider's answer broke off before it began. Try again.")


def _about(exchange: Exchange) -> Headers:
    headers = [
        (b"x-vutler-provider", exchange.target.provider.encode()),
        (b"x-vutler-model", exchange.model.encode()),
        (b"x-vutler-attempts", b"1"),
    ]
    if exchange.dropped:
        headers.append((b"x-vutler-dropped", ", ".join(exchange.dropped).encode()))
    return headers


def _request_type(headers: Mapping[bytes, bytes]) -> str:
    name = headers.get(b"x-vutler-request-type", b"chat").decode("latin-1")
    if name not in REQUEST_TYPES:
        raise InvalidRequest("x-vutler-request-type is chat, email or tool.", param="x-vutler-request-type")
    return name
