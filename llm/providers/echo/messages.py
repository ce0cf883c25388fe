"""Anthropic's messages."""

from collections.abc import Iterator
from typing import Any

import msgspec

from llm.providers.echo.answer import Answer, Call
from llm.providers.echo.directives import Behaviour
from llm.providers.echo.exchange import Piece, Stream
from llm.providers.echo.prompt import IMAGE_TOKENS, Prompt, words
from llm.providers.echo.refusals import Refusal

SIGNATURE = "ZWNobyB0aG91Z2h0IHRoaXM="
_FINISH = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use", "refusal": "refusal"}


class Block(msgspec.Struct):
    """A block of a message's content, of any type."""

    type: str
    text: str = ""
    thinking: str = ""
    name: str = ""
    input: dict[str, Any] | None = None
    content: "str | list[Block] | None" = None


class Message(msgspec.Struct):
    """A message of the conversation."""

    role: str
    content: str | list[Block]


class ToolField(msgspec.Struct):
    """A tool that can be called."""

    name: str
    input_schema: dict[str, Any] | None = None


class ToolChoice(msgspec.Struct):
    """Which tools may be called."""

    type: str
    name: str = ""
    disable_parallel_tool_use: bool = False


class Format(msgspec.Struct):
    """The form that the answer must have."""

    type: str
    schema: dict[str, Any] | None = None


class OutputConfig(msgspec.Struct):
    """How the answer is to be put out."""

    format: Format | None = None


class Body(msgspec.Struct):
    """The body of a request. ``max_tokens`` is missing where tokens are only counted."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    tools: list[ToolField] | None = None
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None


_decoder = msgspec.json.Decoder(Body)


def read(data: bytes, *, counting: bool = False) -> Prompt:
    """Return what the request asks for.

    Raises:
        msgspec.MsgspecError: when it isn't a messages request.
        Refusal: when something that Anthropic insists on is missing.
    """
    body = _decoder.decode(data)
    if body.max_tokens is None and not counting:
        raise Refusal(400, "max_tokens: Field required")
    if not body.messages:
        raise Refusal(400, "messages: at least one message is required")
    prompt = Prompt(
        model=body.model,
        stream=bool(body.stream),
        limit=body.max_tokens,
        stops=body.stop_sequences or [],
        schema=_schema(body),
    )
    for block in _blocks(body.system or []):
        prompt.read(block.text)
    for message in body.messages:
        _hear(prompt, message)
    for tool in body.tools or ():
        prompt.equip(name=tool.name, schema=tool.input_schema)
    if body.tool_choice is not None:
        _choose(prompt, body.tool_choice)
    return prompt


def _hear(prompt: Prompt, message: Message) -> None:
    blocks = _blocks(message.content)
    for block in blocks:
        match block.type:
            case "image":
                prompt.tokens += IMAGE_TOKENS
            case "tool_use":
                prompt.remember(name=block.name, arguments=block.input or {})
            case "thinking":
                prompt.read(block.thinking)
            case "text" if message.role != "user":
                prompt.read(block.text)
    if message.role != "user":
        return
    # Tool results come in a user's message, before its text.
    for block in blocks:
        if block.type == "tool_result":
            _learn(prompt, _blocks(block.content or []))
    if texts := [block.text for block in blocks if block.type == "text"]:
        prompt.hear("\n".join(texts))


def _learn(prompt: Prompt, blocks: list[Block]) -> None:
    prompt.tokens += IMAGE_TOKENS * sum(block.type == "image" for block in blocks)
    prompt.learn("\n".join(block.text for block in blocks if block.type == "text"))


def _blocks(content: str | list[Block]) -> list[Block]:
    return [Block(type="text", text=content)] if isinstance(content, str) else content


def _choose(prompt: Prompt, choice: ToolChoice) -> None:
    prompt.parallel = not choice.disable_parallel_tool_use
    prompt.only = choice.name
    if choice.type == "none":
        prompt.calls = "never"
    elif choice.type in ("any", "tool"):
        prompt.calls = "must"


def _schema(body: Body) -> dict[str, Any] | None:
    form = body.output_config.format if body.output_config else body.output_format
    return form.schema if form else None


def usage(answer: Answer, *, output: int) -> dict[str, Any]:
    """Return the usage: cached tokens are outside ``input_tokens``."""
    return {
        "input_tokens": answer.input,
        "cache_creation_input_tokens": answer.cache_write + answer.cache_write_1h,
        "cache_read_input_tokens": answer.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": answer.cache_write,
            "ephemeral_1h_input_tokens": answer.cache_write_1h,
        },
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": min(answer.reasoning, output)},
        "service_tier": "standard",
    }


def whole(answer: Answer, behaviour: Behaviour, *, request_id: str) -> dict[str, Any]:
    """Return the body of the answer."""
    content: list[dict[str, Any]] = []
    if answer.thought:
        content.append({"type": "thinking", "thinking": answer.thought, "signature": SIGNATURE})
    if answer.text or not answer.calls:
        content.append({"type": "text", "text": answer.text})
    content += [_call(call, number, request_id) for number, call in enumerate(answer.calls)]
    stopped = _stop(answer)
    body = {**_head(answer, request_id), "content": content, **stopped}
    if not behaviour.no_usage:
        body["usage"] = usage(answer, output=answer.output)
    return body


def stream(answer: Answer, behaviour: Behaviour, *, request_id: str, error: dict[str, Any]) -> Stream:
    """Return the answer as a stream."""
    end = _event({"type": "message_stop"})
    return Stream(pieces=_Events(answer, behaviour, request_id).pieces(), end=end, error=_event(error))


class _Events:
    def __init__(self, answer: Answer, behaviour: Behaviour, request_id: str) -> None:
        self._answer = answer
        self._with_usage = not behaviour.no_usage
        self._request_id = request_id
        self._index = -1

    def pieces(self) -> Iterator[Piece]:
        answer = self._answer
        yield self._start()
        yield Piece(_event({"type": "ping"}))
        if answer.thought:
            deltas = [{"type": "thinking_delta", "thinking": word} for word in words(answer.thought)]
            deltas.append({"type": "signature_delta", "signature": SIGNATURE})
            yield from self._block({"type": "thinking", "thinking": "", "signature": ""}, deltas)
        if answer.text or not answer.calls:
            deltas = [{"type": "text_delta", "text": word} for word in words(answer.text)]
            yield from self._block({"type": "text", "text": ""}, deltas)
        for number, call in enumerate(answer.calls):
            middle = len(call.arguments) // 2
            parts = [call.arguments[:middle], call.arguments[middle:]]
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in ["", *parts]]
            yield from self._block({**_call(call, number, self._request_id), "input": {}}, deltas)
        yield self._delta()

    def _start(self) -> Piece:
        message = {**_head(self._answer, self._request_id), "content": [], "stop_reason": None, "stop_sequence": None}
        if self._with_usage:
            message["usage"] = usage(self._answer, output=min(self._answer.output, 1))
        return Piece(_event({"type": "message_start", "message": message}))

    def _block(self, block: dict[str, Any], deltas: list[dict[str, str]]) -> Iterator[Piece]:
        self._index += 1
        place = {"index": self._index}
        yield Piece(_event({"type": "content_block_start", **place, "content_block": block}))
        for delta in deltas:
            yield Piece(_event({"type": "content_block_delta", **place, "delta": delta}), _says_something(delta))
        yield Piece(_event({"type": "content_block_stop", **place}))

    def _delta(self) -> Piece:
        event: dict[str, Any] = {"type": "message_delta", "delta": _stop(self._answer)}
        if self._with_usage:
            event["usage"] = usage(self._answer, output=self._answer.output)
        return Piece(_event(event))


def _says_something(delta: dict[str, str]) -> bool:
    return delta["type"] != "signature_delta" and delta.get("partial_json") != ""


def _stop(answer: Answer) -> dict[str, Any]:
    reason = "stop_sequence" if answer.stopped_by and answer.finish == "stop" else _FINISH[answer.finish]
    return {"stop_reason": reason, "stop_sequence": answer.stopped_by if reason == "stop_sequence" else None}


def _head(answer: Answer, request_id: str) -> dict[str, Any]:
    return {"id": f"msg_{request_id}", "type": "message", "role": "assistant", "model": answer.model}


def _call(call: Call, number: int, request_id: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{request_id}_{number}", "name": call.name, "input": call.values}


def _event(value: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), msgspec.json.encode(value))
