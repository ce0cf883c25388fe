"""What a provider's adapter does: build the request to send, and read the answer that comes back.

An adapter does no I/O. Bytes go in and come out, so that a test needs no server.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from agents.crypto import Secret
from llm.errors import GatewayError
from llm.requests import MessagesRequest, Request
from llm.tokens import Output
from metering.usage import Usage


class SavedKey(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the customers' saved keys one is, as it was last changed, and whether it is known to be refused."""

    id: UUID
    changed_at: datetime
    refused: bool


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes: a provider, its address, and the key to show there. ``saved`` if it's a customer's."""

    provider: str
    model: str
    base_url: str
    key: Secret
    saved: SavedKey | None = None


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A request to send to a provider. Its headers carry the key: it has no business in a log."""

    url: str
    headers: dict[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Outgoing({self.url})"


class Relay(Protocol):
    """One answer on its way back: turns the provider's bytes into the caller's, and reads the usage off them."""

    @property
    def usage(self) -> Usage | None:
        """What the provider reported; None until it did."""
        ...

    @property
    def cost(self) -> Decimal | None:
        """What it said it charged, in USD; only OpenRouter says."""
        ...

    @property
    def output(self) -> Output:
        """What the model put out so far, reasoning and tool arguments included: to estimate from."""
        ...

    @property
    def model(self) -> str:
        """The model as the provider names it, "" until known."""
        ...

    @property
    def complete(self) -> bool:
        """Whether it is a good answer, come to its proper end."""
        ...

    @property
    def failed(self) -> bool:
        """Whether there is no sense in reading on."""
        ...

    def whole(self, status: int, body: bytes) -> bytes:
        """Return the caller's body for the provider's whole one (any status).

        Raises:
            llm.errors.UpstreamUnavailable: when a good status came with what can't be translated.
        """
        ...

    def feed(self, data: bytes) -> bytes:
        """Take some bytes of a stream; return those that can go to the caller now (often all, maybe none).

        The event that ends the stream (``[DONE]``) is held back for :meth:`finish`.
        """
        ...

    def finish(self) -> bytes:
        """The provider's stream is over: return what was held back, the end included."""
        ...

    def broken_off(self, error: GatewayError) -> bytes:
        """Return the event that tells ``error`` to a caller in mid-stream; nothing where the provider told one."""
        ...


class Prepared(NamedTuple):
    """A request ready to go out, and the reader for its answer.

    ``dropped`` names the caller's fields that this provider has no equal of and that don't change the answer.
    """

    outgoing: Outgoing
    relay: Relay
    dropped: Sequence[str] = ()


class Provider(Protocol):
    """One way of speaking to providers."""

    def prepare(self, request: Request, target: Target) -> Prepared:
        """Build what to send to ``target`` for a request of any dialect.

        Raises:
            llm.errors.InvalidRequest: for what this provider can't be asked; names the field.
        """
        ...

    def count_tokens(self, request: MessagesRequest, target: Target) -> Outgoing | None:
        """Build the request that counts the tokens of another; None where the provider has no such thing."""
        ...

    def models(self, target: Target) -> Outgoing:
        """Build the request that lists the models of the target's key."""
        ...

    def models_body(self, status: int, body: bytes) -> bytes:
        """Return the list of models (or the error) in OpenAI's form."""
        ...
