"""What Anthropic answers with, as far as translation reads it.

Source: Anthropic's "Messages", "Streaming messages" and "Errors". Every field may be missing and any type may be
new: a provider that adds something mustn't break us.
"""

import msgspec

from llm.translate.usage import MessagesUsage


class StopDetails(msgspec.Struct, frozen=True):
    """Why the model refused."""

    explanation: str | None = None


class Block(msgspec.Struct, frozen=True):
    """A content block. ``input`` is a tool's arguments as JSON."""

    type: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class Answer(msgspec.Struct, frozen=True):
    """A whole answer, or what the start of a stream says of one."""

    id: str = ""
    model: str = ""
    content: list[Block] = []
    stop_reason: str | None = None
    stop_details: StopDetails | None = None
    usage: MessagesUsage | None = None


class ErrorObject(msgspec.Struct, frozen=True):
    """What went wrong."""

    message: str
    type: str = "api_error"


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The body of an error."""

    error: ErrorObject


class Delta(msgspec.Struct, frozen=True):
    """What an event adds: to a block, or to the message at its end."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    signature: str = ""
    stop_reason: str | None = None
    stop_details: StopDetails | None = None


class Event(msgspec.Struct, frozen=True):
    """An event of a stream."""

    type: str
    index: int = 0
    message: Answer | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: MessagesUsage | None = None
    error: ErrorObject | None = None


class Model(msgspec.Struct, frozen=True):
    """A model in the list of models. ``created_at`` is RFC 3339."""

    id: str
    created_at: str = ""


class Models(msgspec.Struct, frozen=True):
    """The list of models."""

    data: list[Model]
