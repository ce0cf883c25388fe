"""OpenAI's embeddings, passed on. Source: OpenAI's "The embedding object". They are never streamed."""

from typing import Final

import msgspec

from llm.errors import GatewayError, openai_body
from llm.relays.passing import Passing
from llm.translate.completion import UsageFields


class _Embeddings(msgspec.Struct):
    data: list[msgspec.Raw]
    model: str | None = None
    usage: UsageFields | None = None


_decode: Final = msgspec.json.Decoder(_Embeddings).decode


class EmbeddingsRelay(Passing):
    """Embeddings: they use input alone."""

    __slots__ = ()

    def _read_whole(self, body: bytes) -> bool:
        try:
            found = _decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        self.model = found.model or ""
        self.usage = found.usage.disjoint() if found.usage else None
        return True

    def _passes(self, event: bytes) -> bool:  # noqa: ARG002
        return True

    def _end(self) -> bytes:
        return b""

    def _error_event(self, error: GatewayError) -> bytes:
        return b"data: " + openai_body(error) + b"\n\n"
