"""Adds to a request's system prompt, where each dialect has it. All other values keep their bytes.

What isn't as its dialect wants it is left alone: the provider says so better than we could.
"""

from typing import Any, Final, TypeVar

import msgspec

from llm.requests import ChatRequest, MessagesRequest, Request, ResponsesRequest, with_fields

SYSTEM_ROLES: Final = frozenset({"system", "developer"})
BETWEEN: Final = "\n\n"

AnyRequest = TypeVar("AnyRequest", bound=Request)


class _Messages(msgspec.Struct):
    messages: list[msgspec.Raw]


class _Turn(msgspec.Struct):
    role: str
    content: str | list[msgspec.Raw] = ""


class _System(msgspec.Struct):
    system: str | list[msgspec.Raw] | None = None


class _Instructions(msgspec.Struct):
    instructions: str | None = None


def with_instructions(request: AnyRequest, text: str) -> AnyRequest:
    """Return the request with ``text`` at the end of its system prompt, or as its system prompt if it has none."""
    try:
        fields = _changed(request, text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return request
    return msgspec.structs.replace(request, body=with_fields(request.body, fields)) if fields else request


def _changed(request: Request, text: str) -> dict[str, Any]:
    match request:
        case ChatRequest():
            return {"messages": _in_chat(msgspec.json.decode(request.body, type=_Messages).messages, text)}
        case MessagesRequest():
            return {"system": _after(msgspec.json.decode(request.body, type=_System).system or "", text)}
        case ResponsesRequest():
            return {
                "instructions": _after(msgspec.json.decode(request.body, type=_Instructions).instructions or "", text)
            }
    return {}


def _in_chat(turns: list[msgspec.Raw], text: str) -> list[msgspec.Raw]:
    # Into the first one, as models are trained on one system message, and some refuse a second.
    first = msgspec.json.decode(turns[0], type=_Turn) if turns else None
    if first and first.role in SYSTEM_ROLES:
        return [msgspec.Raw(with_fields(turns[0], {"content": _after(first.content, text)})), *turns[1:]]
    return [msgspec.Raw(msgspec.json.encode({"role": "system", "content": text})), *turns]


def _after(prompt: str | list[msgspec.Raw], text: str) -> str | list[Any]:
    if isinstance(prompt, str):
        return f"{prompt}{BETWEEN}{text}" if prompt else text
    return [*prompt, {"type": "text", "text": text}]
