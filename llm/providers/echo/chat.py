"""OpenAI's chat completions."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from llm.providers.echo.answer import Answer, Call
from llm.providers.echo.directives import Behaviour
from llm.providers.echo.exchange import Piece, Stream
from llm.providers.echo.habits import Habits
from llm.providers.echo.prompt import IMAGE_TOKENS, Prompt, words
from llm.providers.echo.refusals import Refusal

DONE = b"data: [DONE]\n\n"
_FINISH = {"stop": "stop", "length": "length", "tools": "tool_calls", "refusal": "content_filter"}
_COST_INPUT, _COST_OUTPUT = 0.000001, 0.000002


class Part(msgspec.Struct):
    """A part of a message's content."""

    type: str
    text: str = ""
    refusal: str = ""


class Function(msgspec.Struct):
    """A function that was called."""

    name: str
    arguments: str = ""


class ToolCall(msgspec.Struct):
    """An earlier call of a tool."""

    function: Function | None = None


class Message(msgspec.Struct):
    """A message of the conversation."""

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[ToolCall] | None = None


class Definition(msgspec.Struct):
    """A function that can be called."""

    name: str
    parameters: dict[str, Any] | None = None


class ToolField(msgspec.Struct):
    """A tool that can be called."""

    function: Definition | None = None


class JsonSchema(msgspec.Struct):
    """A schema with its name."""

    schema: dict[str, Any] = {}


class ResponseFormat(msgspec.Struct):
    """The form that the answer must have."""

    type: str = "text"
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct):
    """What a stream should contain."""

    include_usage: bool | None = None


class Body(msgspec.Struct):
    """The body of a request."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    tools: list[ToolField] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None


_decoder = msgspec.json.Decoder(Body)


def read(data: bytes, *, habits: Habits) -> Prompt:
    """Return what the request asks for.

    Raises:
        msgspec.MsgspecError: when it isn't a chat completion request.
        Refusal: when this provider doesn't take it.
    """
    body = _decoder.decode(data)
    if body.stream_options is not None and not habits.takes_stream_options:
        raise Refusal(422, "Extra inputs are not permitted: body.stream_options", param="stream_options")
    if not body.messages:
        raise Refusal(400, "There must be at least one message.", param="messages")
    prompt = Prompt(
        model=body.model,
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        limit=body.max_completion_tokens or body.max_tokens,
        stops=[body.stop] if isinstance(body.stop, str) else body.stop or [],
        parallel=body.parallel_tool_calls is not False,
        schema=_schema(body.response_format),
    )
    for message in body.messages:
        _hear(prompt, message)
    for tool in body.tools or ():
        if tool.function is not None:
            prompt.equip(name=tool.function.name, schema=tool.function.parameters)
    choose(prompt, body.tool_choice)
    return prompt


def _hear(prompt: Prompt, message: Message) -> None:
    content = message.content
    if isinstance(content, list):
        prompt.tokens += IMAGE_TOKENS * sum(part.type == "image_url" for part in content)
        texts = [part.text or part.refusal for part in content if part.type in ("text", "refusal")]
        if not texts and message.role == "user":
            return
        content = "\n".join(texts)
    match message.role:
        case "user":
            prompt.hear(content or "")
        case "tool" | "function":
            prompt.learn(content or "")
        case _:
            prompt.read(content or "")
    for call in message.tool_calls or ():
        if call.function is not None:
            prompt.remember(name=call.function.name, arguments=call.function.arguments)


def choose(prompt: Prompt, choice: str | dict[str, Any] | None) -> None:
    """Take in OpenAI's ``tool_choice``, in the form of either of its APIs."""
    if isinstance(choice, dict):
        prompt.calls = "must"
        prompt.only = choice.get("function", choice).get("name", "")
    elif choice in ("none", "required"):
        prompt.calls = "never" if choice == "none" else "must"


def _schema(form: ResponseFormat | None) -> dict[str, Any] | None:
    if form is None or form.type == "text":
        return None
    if form.json_schema is not None:
        return form.json_schema.schema
    return {"type": "object", "required": ["answer"]}


def usage(answer: Answer, behaviour: Behaviour, *, habits: Habits) -> dict[str, Any]:
    """Return the usage: cached tokens are within ``prompt_tokens``, reasoning within ``completion_tokens``."""
    cached: dict[str, Any] = {"cached_tokens": answer.cached}
    found: dict[str, Any] = {
        "prompt_tokens": answer.tokens_input,
        "completion_tokens": answer.output,
        "total_tokens": answer.tokens_input + answer.output,
        "prompt_tokens_details": cached,
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning},
    }
    if habits.cost:
        cached["cache_write_tokens"] = answer.cache_write + answer.cache_write_1h
        cost = answer.tokens_input * _COST_INPUT + answer.output * _COST_OUTPUT
        found["cost"] = round(cost, 9) if behaviour.cost is None else behaviour.cost
    return found


def whole(answer: Answer, behaviour: Behaviour, *, habits: Habits, request_id: str) -> dict[str, Any]:
    """Return the body of the answer."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.calls:
        message["tool_calls"] = [_call(call, number, request_id) for number, call in enumerate(answer.calls)]
    if answer.thought and habits.thinks_in:
        message[habits.thinks_in] = answer.thought
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[answer.finish]}
    body = {**_head(answer, request_id, kind="chat.completion"), "choices": [choice]}
    if not behaviour.no_usage:
        body["usage"] = usage(answer, behaviour, habits=habits)
    if habits.base_resp:
        body["base_resp"] = {"status_code": 0, "status_msg": ""}
    return body


def stream(
    answer: Answer, behaviour: Behaviour, *, prompt: Prompt, habits: Habits, request_id: str, error: dict[str, Any]
) -> Stream:
    """Return the answer as a stream."""
    chunks = _Chunks(answer, behaviour, prompt=prompt, habits=habits, request_id=request_id)
    return Stream(pieces=chunks.pieces(), end=DONE, error=_event(error))


class _Chunks:
    def __init__(
        self, answer: Answer, behaviour: Behaviour, *, prompt: Prompt, habits: Habits, request_id: str
    ) -> None:
        self._answer = answer
        self._habits = habits
        self._request_id = request_id
        self._head = _head(answer, request_id, kind="chat.completion.chunk")
        where = "choice" if behaviour.usage_in_choice_chunk else habits.usage
        if where == "option":
            where = "always" if prompt.include_usage else "never"
            if prompt.include_usage:
                self._head["usage"] = None
        self._usage_in = "never" if behaviour.no_usage else where
        self._usage = usage(answer, behaviour, habits=habits)

    def pieces(self) -> Iterator[Piece]:
        if self._habits.comments:
            yield Piece(b": OPENROUTER PROCESSING\n\n")
        yield self._piece({"role": "assistant", "content": "" if not self._answer.calls else None}, chunk=False)
        if self._habits.thinks_in:
            for word in words(self._answer.thought):
                yield self._piece({self._habits.thinks_in: word})
        for word in words(self._answer.text):
            yield self._piece({"content": word})
        for number, call in enumerate(self._answer.calls):
            yield from self._call(call, number)
        yield self._last()
        if self._usage_in == "always":
            yield Piece(_event({**self._head, "choices": [], "usage": self._usage}))

    def _call(self, call: Call, number: int) -> Iterator[Piece]:
        opening = {"index": number, **_call(call, number, self._request_id)}
        opening["function"] = {"name": call.name, "arguments": ""}
        yield self._piece({"tool_calls": [opening]})
        for part in halves(call.arguments):
            yield self._piece({"tool_calls": [{"index": number, "function": {"arguments": part}}]})

    def _piece(self, delta: dict[str, Any], *, chunk: bool = True) -> Piece:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return Piece(_event({**self._head, "choices": [choice]}), chunk)

    def _last(self) -> Piece:
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": _FINISH[self._answer.finish]}
        event = {**self._head, "choices": [choice]}
        if self._usage_in == "choice":
            event["usage"] = self._usage
        elif self._usage_in == "x_groq":
            event["x_groq"] = {"id": self._request_id, "usage": self._usage}
        return Piece(_event(event))


def halves(text: str) -> list[str]:
    """Cut a tool's arguments in two, so that no half of them is JSON."""
    middle = len(text) // 2
    return [text[:middle], text[middle:]]


def _head(answer: Answer, request_id: str, *, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request_id}", "object": kind, "created": int(time.time()), "model": answer.model}


def _call(call: Call, number: int, request_id: str) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{request_id}_{number}", "type": "function", "function": function}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(value)
