"""Says chat completions as Anthropic's messages."""

import msgspec

from llm import tokens
from llm.errors import GatewayError, anthropic_body
from llm.translate.chunks_to_messages import Events
from llm.translate.completion import Completion
from llm.translate.completion_to_messages import to_error, to_message
from metering.usage import Usage


class MessagesTeller:
    """See :class:`llm.providers.by_chat.Teller`.

    ``request_id`` goes into errors. ``body`` is the request's: a stream begins with an estimate of its tokens,
    because the provider counts them only at the end.
    """

    def __init__(self, *, request_id: str, body: bytes) -> None:
        self._request_id = request_id
        self._body = body
        self._stream: Events | None = None

    def whole(self, completion: Completion, usage: Usage) -> bytes:
        """Return the body of an answer."""
        return msgspec.json.encode(to_message(completion, usage))

    def error(self, body: bytes, *, status: int) -> bytes:
        """Return the body of an error."""
        return to_error(body, status=status, request_id=self._request_id)

    def chunk(self, chunk: Completion) -> bytes:
        """Return the events that a chunk becomes."""
        return self._events().feed(chunk)

    def end(self, usage: Usage) -> bytes:
        """Return the events that end a stream."""
        return self._events().end(usage)

    def broken_off(self, error: GatewayError) -> bytes:
        """Return the event that tells of an error in mid-stream."""
        return b"event: error\ndata: " + anthropic_body(error, request_id=self._request_id) + b"\n\n"

    def _events(self) -> Events:
        if self._stream is None:
            self._stream = Events(estimated=tokens.prompt(self._body))
        return self._stream
