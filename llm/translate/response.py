"""The response object, put together from what was asked and what a chat completion says.

Source: OpenAI's "The response object". Thinking is shown as a summary, which is where clients look for it.
"""

from typing import Any, Final, Literal, NamedTuple

import msgspec

from llm.translate.completion import Choice, Completion, Message, ToolCall
from llm.translate.responses_request import ResponsesBody
from llm.translate.usage import to_responses
from metering.usage import Usage

Fields = dict[str, Any]


Kind = Literal["thought", "said", "refused", "called"]
Told = tuple[str, Fields]

_PREFIXES: Final = {"thought": "rs", "said": "msg", "refused": "msg", "called": "fc"}
_EVENTS: Final = {
    "thought": ("reasoning_summary_part", "reasoning_summary_text"),
    "said": ("content_part", "output_text"),
    "refused": ("content_part", "refusal"),
    "called": ("", "function_call_arguments"),
}
_TOOL: Final = ("name", "description", "parameters", "strict")
_REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Head(NamedTuple):
    """What is known of a response when it begins."""

    request_id: str
    model: str
    created: int


class Output(NamedTuple):
    """What a response holds when it ends: its items, and why OpenAI stopped (``finish_reason``)."""

    items: list[Fields]
    finish_reason: str | None


def response(asked: ResponsesBody, head: Head, output: Output | None = None, usage: Usage | None = None) -> Fields:
    """Return the response: in progress without ``output``."""
    reason = _incomplete(output)
    status = "in_progress" if output is None else "incomplete" if reason else "completed"
    tools = [{"type": "function", **{name: getattr(tool, name) for name in _TOOL}} for tool in asked.tools or ()]
    return {
        "id": f"resp_{head.request_id}",
        "object": "response",
        "created_at": head.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "metadata": asked.metadata or {},
        "model": head.model,
        "output": output.items if output else [],
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": asked.reasoning.effort if asked.reasoning else None, "summary": None},
        "store": False,
        "temperature": asked.temperature,
        "text": {"format": _format(asked)},
        "tool_choice": msgspec.to_builtins(asked.tool_choice) or "auto",
        "tools": tools,
        "top_p": asked.top_p,
        "truncation": "disabled",
        "usage": to_responses(usage) if usage else None,
        "user": asked.user,
    }


def whole(asked: ResponsesBody, completion: Completion, usage: Usage, *, request_id: str) -> Fields:
    """Return the response for a whole chat completion."""
    choice = completion.choices[0] if completion.choices else Choice()
    message = choice.message or Message()
    said: list[tuple[Kind, str]] = [("thought", message.thought), ("said", message.said)]
    said.append(("refused", message.refusal or ""))
    items: list[Fields] = []
    for kind, text in said:
        if text or (kind == "said" and not (message.refusal or message.tool_calls)):
            items.append(Section(kind, request_id=request_id, index=len(items)).item(text))
    for call in message.tool_calls or ():
        arguments = (call.function.arguments if call.function else None) or ""
        items.append(Section("called", request_id=request_id, index=len(items), call=call).item(arguments))
    head = Head(request_id, completion.model or "", completion.created or 0)
    return response(asked, head, Output(items, choice.finish_reason), usage)


class Section:
    """One item of a response, with its one part: what it looks like begun, growing and whole."""

    def __init__(self, kind: Kind, *, request_id: str, index: int, call: ToolCall | None = None) -> None:
        self.kind = kind
        self._call = call or ToolCall()
        self._index = index
        self._id = f"{_PREFIXES[kind]}_{request_id}_{index}"

    def item(self, text: str | None) -> Fields:
        """Return the item with its whole ``text``, or begun, without any."""
        parts = [] if text is None else [self._part(text)]
        status = "in_progress" if text is None else "completed"
        if self.kind == "thought":
            return {"id": self._id, "type": "reasoning", "summary": parts}
        if self.kind != "called":
            message = {"id": self._id, "type": "message", "status": status, "role": "assistant"}
            return {**message, "content": parts}
        return {
            "id": self._id,
            "type": "function_call",
            "status": status,
            "call_id": self._call.id or f"call_{self._index}",
            "name": self._name,
            "arguments": text or "",
        }

    def begins(self) -> list[Told]:
        """Return the events with which it begins."""
        added = ("output_item.added", {"output_index": self._index, "item": self.item(None)})
        if self.kind == "called":
            return [added]
        return [added, (f"{self._events[0]}.added", {**self._place, "part": self._part("")})]

    def adds(self, text: str) -> Told:
        """Return the event by which it grows."""
        logprobs: Fields = {"logprobs": []} if self.kind == "said" else {}
        return f"{self._events[1]}.delta", {**self._place, "delta": text, **logprobs}

    def ends(self, text: str) -> list[Told]:
        """Return the events with which it ends, ``text`` being all of it."""
        done = ("output_item.done", {"output_index": self._index, "item": self.item(text)})
        part, growing = self._events
        if self.kind == "called":
            return [(f"{growing}.done", {**self._place, "name": self._name, "arguments": text}), done]
        logprobs: Fields = {"logprobs": []} if self.kind == "said" else {}
        name = "refusal" if self.kind == "refused" else "text"
        return [
            (f"{growing}.done", {**self._place, name: text, **logprobs}),
            (f"{part}.done", {**self._place, "part": self._part(text)}),
            done,
        ]

    @property
    def _name(self) -> str:
        return (self._call.function.name if self._call.function else None) or ""

    @property
    def _events(self) -> tuple[str, str]:
        """The names of the events about its part, and about the text in it."""
        return _EVENTS[self.kind]

    @property
    def _place(self) -> Fields:
        place: Fields = {"item_id": self._id, "output_index": self._index}
        if self.kind == "thought":
            place["summary_index"] = 0
        elif self.kind != "called":
            place["content_index"] = 0
        return place

    def _part(self, text: str) -> Fields:
        if self.kind == "thought":
            return {"type": "summary_text", "text": text}
        if self.kind == "refused":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _incomplete(output: Output | None) -> str | None:
    """Return why the answer isn't all there could be."""
    return _REASONS.get(output.finish_reason or "") if output else None


def _format(asked: ResponsesBody) -> Fields:
    form = asked.text.format if asked.text else None
    if form is None or form.type != "json_schema":
        return {"type": form.type if form else "text"}
    told = msgspec.to_builtins(form)
    return {name: value for name, value in told.items() if value is not None}
