"""A provider's answer on its way to the caller: whole or streamed, all but its last bytes."""

from typing import Final, Protocol

from agents.crypto import Secret
from llm.client import Answer, UpstreamCut, UpstreamStalled
from llm.errors import GatewayError, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from llm.exchange import Exchange
from llm.rate_headers import PREFIXES
from llm.refusals import trouble_of

OK: Final = 200
SHORTEST_KEY: Final = 8  # what is shorter is a word ("ollama"), and no secret
BROKEN_OFF: Final = "The provider's answer broke off. What came until here is all there is."

Headers = list[tuple[bytes, bytes]]


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


async def relay(exchange: Exchange, answer: Answer, reply: Reply) -> bytes:
    """Pass an answer on; return its last bytes, to be sent once the request is recorded.

    Raises:
        UpstreamError: when it breaks off before its first byte has gone to the caller.
    """
    exchange.http_status = answer.status
    if exchange.request.stream and answer.status == OK and answer.is_event_stream:
        return await _stream(exchange, answer, reply)
    return await _whole(exchange, answer, reply)


async def _whole(exchange: Exchange, answer: Answer, reply: Reply) -> bytes:
    try:
        body = await answer.body()
    except UpstreamCut as cut:
        raise _before_first_byte(exchange, cut) from None
    if answer.status != OK and exchange.target:
        body = without(exchange.target.key, body)
        exchange.trouble = trouble_of(provider=exchange.provider, status=answer.status, body=body)
    try:
        body = exchange.relay.whole(answer.status, body)
    except UpstreamError:
        exchange.status = "provider_error"
        raise
    exchange.first_byte()
    exchange.status = "ok" if answer.status == OK and exchange.relay.complete else "provider_error"
    await reply.start(answer.status, _head(exchange, answer))
    return body


async def _stream(exchange: Exchange, answer: Answer, reply: Reply) -> bytes:
    passing = exchange.relay
    begun = False
    cut: UpstreamCut | None
    try:
        while not passing.failed and (chunk := await answer.read()):
            ready = _passed_on(exchange, chunk)
            if not ready:
                continue
            if not begun:
                begun = True
                exchange.first_byte()
                await reply.start(OK, _head(exchange, answer))
            await reply.send(ready)
        last = passing.finish()
        cut = None if passing.complete else UpstreamCut()
    except UpstreamCut as broken:
        cut = broken
    if cut and not begun:
        raise _before_first_byte(exchange, cut) from None
    if cut:
        exchange.status = "timeout" if isinstance(cut, UpstreamStalled) else "provider_cut"
        return passing.broken_off(UpstreamUnavailable(BROKEN_OFF))
    exchange.status = "ok"
    if not begun:
        exchange.first_byte()
        await reply.start(OK, _head(exchange, answer))
    return last


def _passed_on(exchange: Exchange, chunk: bytes) -> bytes:
    """Return what of a chunk goes to the caller now. An error that is told in mid-stream may quote the key."""
    ready = exchange.relay.feed(chunk)
    return without(exchange.target.key, ready) if exchange.relay.failed and exchange.target else ready


def _before_first_byte(exchange: Exchange, cut: UpstreamCut) -> UpstreamError:
    if isinstance(cut, UpstreamStalled):
        return UpstreamTimeout("The provider took too long to answer. Try again.")
    exchange.status = "provider_cut"
    return UpstreamUnavailable("The provider's answer broke off before it began. Try again.")


def _head(exchange: Exchange, answer: Answer) -> Headers:
    headers = answer.headers()
    if exchange.agent.plan:
        headers = [header for header in headers if not header[0].startswith(PREFIXES)]
        headers.extend(exchange.rate_headers)
    return headers + about(exchange)


def about(exchange: Exchange) -> Headers:
    """Return the headers that say who answered."""
    headers = [
        (b"x-vutler-provider", exchange.provider.encode()),
        (b"x-vutler-model", exchange.model.encode()),
        (b"x-vutler-attempts", b"%d" % exchange.attempts),
    ]
    if exchange.dropped:
        headers.append((b"x-vutler-dropped", ", ".join(exchange.dropped).encode()))
    return headers


def without(key: Secret, error: bytes) -> bytes:
    """Return a provider's error without the key that it quotes: whoever holds an agent's token needn't be its owner."""
    quoted = key.reveal().encode()
    return error.replace(quoted, b"***") if len(quoted) >= SHORTEST_KEY else error


def no_way_left(failure: GatewayError | None) -> GatewayError:
    """Return what a caller is told once every way was tried."""
    if isinstance(failure, UpstreamTimeout):
        return failure
    return UpstreamUnavailable("None of the ways to answer this works right now. Try again in a moment.")
