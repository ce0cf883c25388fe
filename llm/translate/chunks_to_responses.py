"""A streamed chat completion as the events of a response, chunk by chunk.

Source: OpenAI's "Streaming events". The sequence is complete and in order, because clients check it: each item and
each part begins, grows and ends, numbers rise by one, and the last event carries the whole response.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from llm.translate.completion import Completion
from llm.translate.response import Fields, Head, Output, Section, Told, response
from llm.translate.responses_request import ResponsesBody
from llm.translate.steps import Step, Steps
from metering.usage import Usage

_encode: Final = msgspec.json.Encoder().encode


class Events:
    """Turns the chunks of one stream into the events of a response. ``number`` is that of the last event."""

    def __init__(self, asked: ResponsesBody, *, request_id: str) -> None:
        self.number = -1
        self._asked = asked
        self._request_id = request_id
        self._head: Head | None = None
        self._steps = Steps()
        self._items: list[Fields] = []
        self._open: Section | None = None
        self._pieces: list[str] = []

    def feed(self, chunk: Completion) -> bytes:
        """Return the events that ``chunk`` becomes."""
        return self._begins(chunk) + self._taken(self._steps.feed(chunk))

    def end(self, usage: Usage) -> bytes:
        """Return what ends the stream: the open item's end, and the whole response."""
        out = self._begins(Completion()) + self._taken(self._steps.rest())
        if not self._items and self._open is None:
            out += self._opens(Step("said"))
        out += self._closes()
        output = Output(self._items, self._steps.finish_reason)
        found = response(self._asked, self._known(Completion()), output, usage)
        return out + self._events((found["status"], {"response": found}))

    def _begins(self, chunk: Completion) -> bytes:
        if self._head:
            return b""
        started = {"response": response(self._asked, self._known(chunk))}
        return self._events(("created", started), ("in_progress", started))

    def _known(self, chunk: Completion) -> Head:
        if self._head is None:
            self._head = Head(self._request_id, chunk.model or self._asked.model or "", chunk.created or 0)
        return self._head

    def _taken(self, steps: Iterable[Step]) -> bytes:
        return b"".join([self._step(step) for step in steps])

    def _step(self, step: Step) -> bytes:
        if step.kind == "called":
            return self._closes() + self._opens(step)
        begun = b""
        if self._open is None or step.kind not in ("arguments", self._open.kind):
            begun = self._closes() + self._opens(step)
        self._pieces.append(step.text)
        return begun + (self._events(self._open.adds(step.text)) if self._open else b"")

    def _opens(self, step: Step) -> bytes:
        if step.kind == "arguments":
            return b""
        self._open = Section(step.kind, request_id=self._request_id, index=len(self._items), call=step.call)
        return self._events(*self._open.begins())

    def _closes(self) -> bytes:
        section, self._open = self._open, None
        if section is None:
            return b""
        text = "".join(self._pieces)
        self._pieces.clear()
        self._items.append(section.item(text))
        return self._events(*section.ends(text))

    def _events(self, *told: Told) -> bytes:
        return b"".join([self._event(kind, fields) for kind, fields in told])

    def _event(self, kind: str, fields: Fields) -> bytes:
        self.number += 1
        event = {"type": f"response.{kind}", "sequence_number": self.number, **fields}
        return b"event: response." + kind.encode() + b"\ndata: " + _encode(event) + b"\n\n"
