"""A streamed chat completion as steps, one thing at a time.

Chunks can mix the pieces of several tool calls; the dialects that chunks are translated into show one call after
another. So the pieces of a later call are held back until the one before it is whole.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from llm.translate.completion import Completion, Message, ToolCall


class Step(NamedTuple):
    """What comes next: some text of a kind, or the beginning of a ``call`` to which the next arguments belong."""

    kind: Literal["thought", "said", "refused", "called", "arguments"]
    text: str = ""
    call: ToolCall | None = None


class Steps:
    """The steps of one stream."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.refused = False
        # Calls by the order in which they came up, and the provider's numbers for them.
        self._calls: list[ToolCall] = []
        self._numbers: dict[int | None, int] = {}
        self._begun: set[int] = set()
        self._open: int | None = None
        self._arguments: list[str] = []
        self._waiting: dict[int, list[str]] = {}

    @property
    def called(self) -> bool:
        """Whether a tool was called."""
        return bool(self._calls)

    def feed(self, chunk: Completion) -> Iterator[Step]:
        """Yield the steps that ``chunk`` adds."""
        for choice in chunk.choices[:1]:
            if choice.delta:
                yield from self._delta(choice.delta)
            self.finish_reason = choice.finish_reason or self.finish_reason

    def rest(self) -> Iterator[Step]:
        """Yield what was held back."""
        for number in sorted(self._waiting):
            yield from self._begins(number)

    def _delta(self, delta: Message) -> Iterator[Step]:
        if thought := delta.thought:
            self._open = None
            yield Step("thought", thought)
        if said := delta.said:
            self._open = None
            yield Step("said", said)
        if delta.refusal:
            self._open = None
            self.refused = True
            yield Step("refused", delta.refusal)
        for call in delta.tool_calls or ():
            yield from self._call(call)

    def _call(self, call: ToolCall) -> Iterator[Step]:
        number = self._number(call)
        arguments = (call.function.arguments if call.function else None) or ""
        if number == self._open:
            yield from self._adds(arguments)
            return
        if number in self._begun:
            return  # of a call that was whole, nothing more is wanted
        self._waiting.setdefault(number, []).append(arguments)
        if self._open is None or self._is_whole():
            yield from self._begins(number)

    def _number(self, call: ToolCall) -> int:
        """Return which call it's a piece of: some servers don't number them, or give each the same number."""
        number = self._numbers.get(call.index)
        if number is None or (call.id and call.id != self._calls[number].id):
            number = self._numbers[call.index] = len(self._calls)
            self._calls.append(call)
        return number

    def _begins(self, number: int) -> Iterator[Step]:
        self._open = number
        self._begun.add(number)
        self._arguments.clear()
        yield Step("called", call=self._calls[number])
        yield from self._adds("".join(self._waiting.pop(number)))

    def _adds(self, arguments: str) -> Iterator[Step]:
        if arguments:
            self._arguments.append(arguments)
            yield Step("arguments", arguments)

    def _is_whole(self) -> bool:
        """Whether the arguments of the open call are all there."""
        try:
            msgspec.json.decode("".join(self._arguments))
        except (msgspec.MsgspecError, RecursionError):
            return False
        return True
