"""A request on its way over its owner's own keys: the first, and where that fails the backup, if they named one.

Nothing else is ever tried: without a backup the provider's word is final, whatever it is.
"""

from functools import cached_property

import msgspec

from llm.answering import Reply, relay
from llm.client import Answer, Upstream
from llm.errors import InvalidRequest, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from llm.exchange import Exchange
from llm.health import meaning_of
from llm.providers.base import Outgoing, Prepared, Target
from llm.providers.registry import PROVIDERS
from llm.requests import Request


class Spare:
    """The backup of one request, made ready only when it's needed."""

    def __init__(self, target: Target, request: Request) -> None:
        """Ask ``target`` for its own model or, where it names none, for the request's."""
        self.target = target
        self.request = (
            msgspec.structs.replace(request, model=target.model, names_model=False) if target.model else request
        )

    @cached_property
    def prepared(self) -> Prepared | None:
        """What to ask it; None where it can't be asked that."""
        try:
            return PROVIDERS[self.target.provider].prepare(self.request, self.target)
        except InvalidRequest:
            return None


async def answer(exchange: Exchange, reply: Reply, *, target: Target, upstream: Upstream) -> bytes:
    """Answer with the owner's keys; return the answer's last bytes.

    The backup is asked where no answer came, where it broke off before its first byte, or where its status says that
    another key or provider may do better. What it answers then is the answer, errors included.

    Raises:
        InvalidRequest: when the provider can't be asked that.
        UpstreamError: when no answer came at all, from whoever was asked last.
    """
    backup = exchange.agent.backup
    spare = Spare(backup, exchange.request) if backup else None
    prepared = PROVIDERS[target.provider].prepare(exchange.request, target)
    exchange.attempt(target, exchange.request.model, prepared)
    try:
        return await _ask(exchange, prepared.outgoing, reply, upstream=upstream, spare=spare)
    except UpstreamError:
        if spare is None or spare.prepared is None:
            raise
    exchange.attempt(spare.target, spare.request.model, spare.prepared)
    return await _ask(exchange, spare.prepared.outgoing, reply, upstream=upstream)


async def _ask(
    exchange: Exchange, outgoing: Outgoing, reply: Reply, *, upstream: Upstream, spare: Spare | None = None
) -> bytes:
    """Ask one provider. With a spare that can be asked, a status that says "elsewhere" is as good as no answer."""
    answer: Answer | None = None
    try:
        answer = await upstream.send(outgoing, provider=exchange.provider)
        # Looked at while the refusal is still at hand: if the spare can't be asked that, it goes to the caller.
        if spare and meaning_of(answer.status).moves_on and spare.prepared:
            raise UpstreamUnavailable("The provider couldn't answer. Try again in a moment.")
        return await relay(exchange, answer, reply)
    except UpstreamError as error:
        if isinstance(error, UpstreamTimeout):
            exchange.status = "timeout"
        elif answer is None:
            exchange.status = "unreachable"
        exchange.http_status = error.status
        raise
    finally:
        exchange.attempt_ended(status=answer.status if answer else None)
        if answer:
            answer.close()
