"""Says chat completions as OpenAI's responses."""

import msgspec

from llm.errors import GatewayError
from llm.translate.chunks_to_responses import Events
from llm.translate.completion import Completion
from llm.translate.response import whole
from llm.translate.responses_request import ResponsesBody
from metering.usage import Usage


class ResponsesTeller:
    """See :class:`llm.providers.by_chat.Teller`. A response tells again what was ``asked``."""

    def __init__(self, asked: ResponsesBody, *, request_id: str) -> None:
        self._asked = asked
        self._request_id = request_id
        self._stream = Events(asked, request_id=request_id)

    def whole(self, completion: Completion, usage: Usage) -> bytes:
        """Return the body of an answer."""
        return msgspec.json.encode(whole(self._asked, completion, usage, request_id=self._request_id))

    def error(self, body: bytes, *, status: int) -> bytes:  # noqa: ARG002
        """Return the body of an error: chat completions and responses have the same."""
        return body

    def chunk(self, chunk: Completion) -> bytes:
        """Return the events that a chunk becomes."""
        return self._stream.feed(chunk)

    def end(self, usage: Usage) -> bytes:
        """Return the events that end a stream."""
        return self._stream.end(usage)

    def broken_off(self, error: GatewayError) -> bytes:
        """Return the event that tells of an error in mid-stream."""
        return error_event(error, number=self._stream.number + 1)


def error_event(error: GatewayError, *, number: int) -> bytes:
    """Return the event that tells of an error in mid-stream; ``number`` is its place in the stream."""
    fields = {"type": "error", "code": error.code, "message": error.message, "param": None, "sequence_number": number}
    return b"event: error\ndata: " + msgspec.json.encode(fields) + b"\n\n"
