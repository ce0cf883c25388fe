"""OpenAI's responses, passed on. Source: OpenAI's "The response object" and "Streaming events"."""

from decimal import Decimal
from typing import Any, Final

import msgspec

from llm import sse
from llm.errors import GatewayError
from llm.relays.passing import Passing
from llm.translate.completion import disjoint
from llm.translate.responses_teller import error_event
from metering.usage import Usage

ENDS: Final = frozenset({"response.completed", "response.incomplete"})
ERRORS: Final = frozenset({"response.failed", "error"})


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    cost: Decimal | None = None

    def disjoint(self) -> Usage:
        details = self.input_tokens_details or _InputDetails()
        return disjoint(
            tokens_input=self.input_tokens,
            cached=details.cached_tokens,
            written=details.cache_write_tokens,
            tokens_output=self.output_tokens,
            reasoning=(self.output_tokens_details or _OutputDetails()).reasoning_tokens,
        )


class _Part(msgspec.Struct):
    text: str = ""
    refusal: str = ""


class _Item(msgspec.Struct):
    content: list[_Part] | None = None
    arguments: str = ""


class _Response(msgspec.Struct):
    model: str = ""
    status: str = ""
    output: list[_Item] = []
    usage: _Usage | None = None


class _Event(msgspec.Struct):
    type: str
    sequence_number: int = 0
    delta: Any = None
    response: msgspec.Raw = msgspec.Raw()


_response: Final = msgspec.json.Decoder(_Response).decode
_event: Final = msgspec.json.Decoder(_Event).decode
_Unreadable: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class ResponsesRelay(Passing):
    """A response. The event that ends its stream carries the whole of it."""

    __slots__ = ("_number",)

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    def _read_whole(self, body: bytes) -> bool:
        response = self._read(body)
        if response is None:
            return False
        for item in response.output:
            for text in [item.arguments, *(part.text or part.refusal for part in item.content or ())]:
                self.output.add(text)
        return response.status in ("completed", "incomplete")

    def _passes(self, event: bytes) -> bool:
        try:
            found = _event(sse.data_of(event))
        except _Unreadable:
            return True
        self._number = found.sequence_number
        if found.type in ENDS:
            self._read(bytes(found.response))
            self._held = event
            return False
        if found.type in ERRORS:
            self._read(bytes(found.response))
            self.failed = self._told = True
        elif isinstance(found.delta, str):
            self.output.add(found.delta)
        return True

    def _read(self, body: bytes) -> _Response | None:
        """Take usage and model from a response; None for what we can't read."""
        try:
            response = _response(body)
        except _Unreadable:
            return None
        self.model = response.model or self.model
        if response.usage:
            self.usage, self.cost = response.usage.disjoint(), response.usage.cost
        return response

    def _end(self) -> bytes:
        return b""

    def _error_event(self, error: GatewayError) -> bytes:
        return error_event(error, number=self._number + 1)
