"""Providers that speak OpenAI's dialect: the caller's bytes go out unchanged, and the answer's come back so.

The exceptions, each a row's quirk: a missing ``model`` is filled in, and a stream is asked to report its usage
(``stream_options.include_usage``), because what isn't reported can't be counted. The chunk that this adds is
taken out again for a caller who didn't ask for it.
"""

from typing import Any

import msgspec

from llm.errors import InvalidRequest
from llm.providers import by_chat
from llm.providers.base import Outgoing, Prepared, Target
from llm.relays.chat import ChatRelay
from llm.relays.embeddings import EmbeddingsRelay
from llm.relays.responses import ResponsesRelay
from llm.requests import ChatRequest, EmbeddingsRequest, MessagesRequest, Request, ResponsesRequest, with_fields
from llm.translate.compatible import Accepts


class OpenAICompatible(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's row: what it has, and takes.

    ``usage_option``: ``stream_options`` (Mistral has refused it with 422). ``responses``: OpenAI's newer API.
    ``accepts`` is for callers of other dialects, whose requests are put together here.
    """

    accepts: Accepts = Accepts()
    usage_option: bool = True
    responses: bool = False

    def prepare(self, request: Request, target: Target) -> Prepared:
        """See :meth:`llm.providers.base.Provider.prepare`."""
        match request:
            case ChatRequest():
                relay = ChatRelay(hide_usage=not request.wants_usage)
                return Prepared(_outgoing(target, "chat/completions", self._chat(request)), relay)
            case ResponsesRequest() if self.responses:
                return Prepared(_outgoing(target, "responses", request.with_model()), ResponsesRelay())
            case EmbeddingsRequest():
                return Prepared(_outgoing(target, "embeddings", request.with_model()), EmbeddingsRelay())
            case MessagesRequest():
                return by_chat.messages(request, target, provider=self, accepts=self.accepts)
            case ResponsesRequest():
                return by_chat.responses(request, target, provider=self, accepts=self.accepts)
        raise InvalidRequest("This provider can't be asked that.")

    def count_tokens(self, request: MessagesRequest, target: Target) -> None:
        """See :meth:`llm.providers.base.Provider.count_tokens`."""

    def models(self, target: Target) -> Outgoing:
        """See :meth:`llm.providers.base.Provider.models`."""
        return Outgoing(url=f"{target.base_url}/models", headers=_headers(target))

    def models_body(self, status: int, body: bytes) -> bytes:  # noqa: ARG002
        """See :meth:`llm.providers.base.Provider.models_body`."""
        return body

    def _chat(self, request: ChatRequest) -> bytes:
        if request.names_model and self.usage_option and (request.wants_usage or not request.stream):
            return request.body
        fields: dict[str, Any] = {}
        if not request.names_model:
            fields["model"] = request.model
        if request.stream and self.usage_option and not request.wants_usage:
            fields["stream_options"] = {"include_usage": True}
        without = "stream_options" if not self.usage_option else ""
        return with_fields(request.body, fields, without=without) if fields or without else request.body


def _outgoing(target: Target, path: str, body: bytes) -> Outgoing:
    return Outgoing(url=f"{target.base_url}/{path}", headers=_headers(target), body=body)


def _headers(target: Target) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    # Ollama and its like need no key.
    if target.key:
        headers["authorization"] = f"Bearer {target.key.reveal()}"
    return headers
