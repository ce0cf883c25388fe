"""OpenAI's responses: text, reasoning and function calls, streamed and not. Nothing is stored."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from llm.providers.echo import chat
from llm.providers.echo.answer import Answer, Call
from llm.providers.echo.directives import Behaviour
from llm.providers.echo.exchange import Piece, Stream
from llm.providers.echo.prompt import IMAGE_TOKENS, Prompt, words


class Part(msgspec.Struct):
    """A part of a message's content."""

    type: str
    text: str = ""


class Item(msgspec.Struct):
    """Something of the conversation: a message, a call of a function, or its result."""

    type: str = "message"
    role: str = ""
    content: str | list[Part] | None = None
    name: str = ""
    arguments: str = ""
    output: str | list[Part] = ""


class ToolField(msgspec.Struct):
    """A tool that can be called."""

    type: str
    name: str = ""
    parameters: dict[str, Any] | None = None


class Format(msgspec.Struct):
    """The form that the answer must have."""

    type: str
    schema: dict[str, Any] | None = None


class TextField(msgspec.Struct):
    """How the text is to be put out."""

    format: Format | None = None


class Body(msgspec.Struct):
    """The body of a request."""

    model: str
    input: str | list[Item]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    tools: list[ToolField] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextField | None = None


_decoder = msgspec.json.Decoder(Body)


def read(data: bytes) -> Prompt:
    """Return what the request asks for.

    Raises:
        msgspec.MsgspecError: when it isn't a responses request.
    """
    body = _decoder.decode(data)
    prompt = Prompt(
        model=body.model,
        stream=bool(body.stream),
        limit=body.max_output_tokens,
        parallel=body.parallel_tool_calls is not False,
        schema=_schema(body.text),
    )
    prompt.read(body.instructions or "")
    items = [Item(role="user", content=body.input)] if isinstance(body.input, str) else body.input
    for item in items:
        _hear(prompt, item)
    for tool in body.tools or ():
        if tool.type == "function":
            prompt.equip(name=tool.name, schema=tool.parameters)
    chat.choose(prompt, body.tool_choice)
    return prompt


def _hear(prompt: Prompt, item: Item) -> None:
    if item.type == "function_call":
        return prompt.remember(name=item.name, arguments=item.arguments)
    if item.type == "function_call_output":
        return prompt.learn(_text(prompt, item.output))
    text = _text(prompt, item.content or "")
    return prompt.hear(text) if item.role == "user" and text else prompt.read(text)


def _text(prompt: Prompt, content: str | list[Part]) -> str:
    if isinstance(content, str):
        return content
    prompt.tokens += IMAGE_TOKENS * sum(part.type == "input_image" for part in content)
    return "\n".join(part.text for part in content if part.text)


def _schema(text: TextField | None) -> dict[str, Any] | None:
    if text is None or text.format is None or text.format.type == "text":
        return None
    return text.format.schema or {"type": "object", "required": ["answer"]}


def usage(answer: Answer) -> dict[str, Any]:
    """Return the usage: cached tokens are within ``input_tokens``, reasoning within ``output_tokens``."""
    return {
        "input_tokens": answer.tokens_input,
        "input_tokens_details": {
            "cached_tokens": answer.cached,
            "cache_write_tokens": answer.cache_write + answer.cache_write_1h,
        },
        "output_tokens": answer.output,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning},
        "total_tokens": answer.tokens_input + answer.output,
    }


def whole(answer: Answer, behaviour: Behaviour, *, request_id: str) -> dict[str, Any]:
    """Return the body of the answer."""
    status = {"length": "incomplete", "refusal": "incomplete"}.get(answer.finish, "completed")
    reason = {"length": "max_output_tokens", "refusal": "content_filter"}.get(answer.finish)
    body = {
        **_head(answer, request_id, status=status),
        "incomplete_details": {"reason": reason} if reason else None,
        "output": _items(answer, request_id, status=status),
    }
    if not behaviour.no_usage:
        body["usage"] = usage(answer)
    return body


def _head(answer: Answer, request_id: str, *, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{request_id}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }


def _items(answer: Answer, request_id: str, *, status: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if answer.reasoning:
        items.append({"id": f"rs_{request_id}", "type": "reasoning", "summary": []})
    if answer.text or not answer.calls:
        items.append(_message(request_id, [_part(answer.text)], status=status))
    items += [_call(call, number, request_id) for number, call in enumerate(answer.calls)]
    return items


def _message(request_id: str, content: list[dict[str, Any]], *, status: str) -> dict[str, Any]:
    return {"id": f"msg_{request_id}", "type": "message", "status": status, "role": "assistant", "content": content}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(call: Call, number: int, request_id: str) -> dict[str, Any]:
    names = {"call_id": f"call_{request_id}_{number}", "name": call.name, "arguments": call.arguments}
    return {"id": f"fc_{request_id}_{number}", "type": "function_call", "status": "completed", **names}


def stream(answer: Answer, behaviour: Behaviour, *, request_id: str, error: dict[str, Any]) -> Stream:
    """Return the answer as a stream."""
    events = _Events(answer, request_id)
    body = whole(answer, behaviour, request_id=request_id)
    details = {"code": error["error"].get("code"), "message": error["error"]["message"], "param": None}
    return Stream(
        pieces=events.pieces(body),
        end=b"",
        error=b"event: error\ndata: %b\n\n" % msgspec.json.encode({"type": "error", "sequence_number": 0, **details}),
    )


class _Events:
    def __init__(self, answer: Answer, request_id: str) -> None:
        self._answer = answer
        self._request_id = request_id
        self._number = -1

    def pieces(self, body: dict[str, Any]) -> Iterator[Piece]:
        started = _head(self._answer, self._request_id, status="in_progress")
        yield self._event("created", response=started)
        yield self._event("in_progress", response=started)
        for index, item in enumerate(body["output"]):
            yield from self._item(item, {"output_index": index})
        yield self._event(body["status"], response=body)

    def _item(self, item: dict[str, Any], place: dict[str, Any]) -> Iterator[Piece]:
        opening = {**item}
        match item["type"]:
            case "message":
                opening |= {"status": "in_progress", "content": []}
            case "function_call":
                opening |= {"status": "in_progress", "arguments": ""}
        yield self._event("output_item.added", item=opening, **place)
        if item["type"] == "message":
            yield from self._text({"item_id": item["id"], "content_index": 0, **place})
        elif item["type"] == "function_call":
            yield from self._arguments(item, {"item_id": item["id"], **place})
        yield self._event("output_item.done", item=item, **place)

    def _text(self, place: dict[str, Any]) -> Iterator[Piece]:
        text = self._answer.text
        yield self._event("content_part.added", part=_part(""), **place)
        for word in words(text):
            yield self._event("output_text.delta", delta=word, logprobs=[], chunk=True, **place)
        yield self._event("output_text.done", text=text, logprobs=[], **place)
        yield self._event("content_part.done", part=_part(text), **place)

    def _arguments(self, item: dict[str, Any], place: dict[str, Any]) -> Iterator[Piece]:
        for part in chat.halves(item["arguments"]):
            yield self._event("function_call_arguments.delta", delta=part, chunk=True, **place)
        done = {"name": item["name"], "arguments": item["arguments"]}
        yield self._event("function_call_arguments.done", **done, **place)

    def _event(self, kind: str, *, chunk: bool = False, **fields: Any) -> Piece:
        self._number += 1
        event = {"type": f"response.{kind}", "sequence_number": self._number, **fields}
        return Piece(b"event: response.%b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(event)), chunk)
