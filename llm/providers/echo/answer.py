"""What is answered, before it is put into either dialect."""

from functools import lru_cache
from typing import Any, Literal

import msgspec

from llm.providers.echo.directives import Behaviour
from llm.providers.echo.prompt import Prompt, Tool, compact, count, words
from llm.providers.echo.schema import instance

Finish = Literal["stop", "length", "tools", "refusal"]


class Call(msgspec.Struct, frozen=True):
    """One call of a tool. ``arguments`` is JSON, ``values`` the same decoded."""

    name: str
    arguments: str
    values: dict[str, Any]


class Answer(msgspec.Struct, kw_only=True, frozen=True):
    """An answer and what it used, in tokens. The counts are disjoint, but ``output`` includes ``reasoning``."""

    model: str
    text: str
    thought: str
    calls: list[Call]
    finish: Finish
    stopped_by: str | None
    input: int
    cached: int
    cache_write: int
    cache_write_1h: int
    output: int
    reasoning: int

    @property
    def tokens_input(self) -> int:
        """All input, cached included."""
        return self.input + self.cached + self.cache_write + self.cache_write_1h


def answer(prompt: Prompt, behaviour: Behaviour) -> Answer:
    """Return what the echo provider has to say to ``prompt``. The same prompt gets the same answer.

    With ``[[tools=N]]``, or where a tool must be called, it calls tools, unless the last message is a tool's result.
    """
    calls = _calls(prompt, behaviour)
    text, finish, stopped_by = _bounded(_text(prompt, behaviour, calls=calls), prompt, behaviour)
    spoken = count(text) + sum(count(call.name) + count(call.arguments) for call in calls)
    return Answer(
        model=behaviour.model or prompt.model,
        text=text,
        thought=_lorem(behaviour.reasoning),
        calls=calls,
        finish=behaviour.finish or ("tools" if calls else finish),
        stopped_by=stopped_by,
        input=prompt.tokens,
        cached=behaviour.cached,
        cache_write=behaviour.cache_write,
        cache_write_1h=behaviour.cache_write_1h,
        output=spoken + behaviour.reasoning,
        reasoning=behaviour.reasoning,
    )


def _text(prompt: Prompt, behaviour: Behaviour, *, calls: list[Call]) -> str:
    if behaviour.text:
        return behaviour.text
    if behaviour.words is not None:
        return _lorem(behaviour.words)
    if calls:
        return ""
    heard = " ".join(prompt.results) if prompt.results else prompt.said
    if prompt.schema is not None:
        return compact(instance(prompt.schema, text=heard))
    if prompt.results:
        return f"The tool said: {heard}"
    return f"You said: {heard}" if heard else "You said nothing."


def _bounded(text: str, prompt: Prompt, behaviour: Behaviour) -> tuple[str, Finish, str | None]:
    """Cut ``text`` where a stop sequence or the limit says so; the limit counts reasoning too."""
    stopped_by = None
    for stop in prompt.stops:
        if stop and stop in text:
            text, stopped_by = text[: text.index(stop)], stop
    if prompt.limit is not None:
        room = max(prompt.limit - behaviour.reasoning, 0)
        if count(text) > room:
            return "".join(words(text)[:room]).rstrip(), "length", None
    return text, "stop", stopped_by


def _calls(prompt: Prompt, behaviour: Behaviour) -> list[Call]:
    if not prompt.tools or prompt.results or prompt.calls == "never":
        return []
    wanted = behaviour.tools or (1 if prompt.calls == "must" else 0)
    if not prompt.parallel:
        wanted = min(wanted, 1)
    tools = [tool for tool in prompt.tools if prompt.only in ("", tool.name)]
    return [_call(tools[number % len(tools)], text=prompt.said) for number in range(wanted if tools else 0)]


def _call(tool: Tool, *, text: str) -> Call:
    values = instance({"type": "object", **tool.schema}, text=text)
    return Call(name=tool.name, arguments=compact(values), values=values)


@lru_cache(maxsize=64)
def _lorem(number: int) -> str:
    """Return a text of so many words."""
    return " ".join(f"word{place}" for place in range(1, number + 1))
