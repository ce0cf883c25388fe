"""A whole chat completion, or its error, as Anthropic's.

Source: Anthropic's "Create a Message" and "Errors". Thinking that comes from elsewhere has no signature: it is empty.
"""

from typing import Any

import msgspec

from llm.translate.completion import Choice, Completion, Message, ToolCall, error_message
from llm.translate.reasons import error_type, stop_reason
from llm.translate.usage import to_messages
from metering.usage import Usage

Fields = dict[str, Any]


def to_message(completion: Completion, usage: Usage) -> Fields:
    """Return the message for ``completion``."""
    choice = completion.choices[0] if completion.choices else Choice()
    content = _content(choice.message or Message())
    called = any(block["type"] == "tool_use" for block in content)
    return head(completion) | {
        "content": content,
        "stop_reason": _stopped(choice, called=called),
        "usage": to_messages(usage),
    }


def head(completion: Completion) -> Fields:
    """Return what a message says of itself before there is anything in it."""
    return {
        "id": completion.id or "msg_0",
        "type": "message",
        "role": "assistant",
        "model": completion.model or "",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def to_error(body: bytes, *, status: int, request_id: str) -> bytes:
    """Return the body of a provider's error in Anthropic's form, with the provider's own message."""
    error = {"type": error_type(status), "message": error_message(body, status=status)}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def tool_use(call: ToolCall, *, number: int) -> Fields:
    """Return the block of a tool's call, its input still empty."""
    name = call.function.name if call.function else None
    return {"type": "tool_use", "id": call.id or f"call_{number}", "name": name or "", "input": {}}


def _content(message: Message) -> list[Fields]:
    content: list[Fields] = []
    if message.thought:
        content.append({"type": "thinking", "thinking": message.thought, "signature": ""})
    content += [{"type": "text", "text": text} for text in (message.said, message.refusal) if text]
    return content + [_call(call, number) for number, call in enumerate(message.tool_calls or ())]


def _call(call: ToolCall, number: int) -> Fields:
    arguments = (call.function.arguments if call.function else None) or "{}"
    try:
        given: Any = msgspec.json.decode(arguments, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError):
        # A model's mistake, which the caller's tool would have met as well.
        given = {"arguments": arguments}
    return tool_use(call, number=number) | {"input": given}


def _stopped(choice: Choice, *, called: bool) -> str:
    refused = choice.message is not None and choice.message.refusal
    return "refusal" if refused else stop_reason(choice.finish_reason, called=called)
