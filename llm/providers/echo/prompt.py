"""What a request asks for, in whichever dialect it came, and how tokens are counted."""

import re
from typing import Any, Final, Literal

import msgspec

IMAGE_TOKENS: Final = 85
"""What an image counts as, whatever its size."""

TOOL_TOKENS: Final = 10
"""What the definition of a tool counts as, whatever its schema."""

_WORD: Final = re.compile(r"\S+\s*|\s+")


def count(text: str) -> int:
    """Return how many tokens ``text`` is: its words, a word being what stands between white space."""
    return len(text.split())


def words(text: str) -> list[str]:
    """Cut ``text`` into its words, each with the white space that follows it."""
    return _WORD.findall(text)


def compact(value: Any) -> str:
    """Return ``value`` as JSON without white space between its parts."""
    return msgspec.json.encode(value).decode()


class Tool(msgspec.Struct, frozen=True):
    """A tool that may be called, and the JSON schema of its arguments."""

    name: str
    schema: dict[str, Any]


class Prompt(msgspec.Struct, kw_only=True):
    """What a request asks for.

    ``said`` is the last text of the user; ``results`` are the tool results that came after it. ``tokens`` counts
    the text of every message (tool calls: name and compact arguments), of the system prompt, tools and images.
    ``calls`` says whether tools may, must or mustn't be called, ``only`` names the one that must be.
    ``schema`` is that of the answer, if it is to be JSON. ``limit`` is the most tokens of output.
    """

    model: str
    stream: bool = False
    include_usage: bool = False
    said: str = ""
    results: list[str] = msgspec.field(default_factory=list)
    tokens: int = 0
    tools: list[Tool] = msgspec.field(default_factory=list)
    calls: Literal["may", "must", "never"] = "may"
    only: str = ""
    parallel: bool = True
    schema: dict[str, Any] | None = None
    limit: int | None = None
    stops: list[str] = msgspec.field(default_factory=list)

    def hear(self, text: str) -> None:
        """Take in a text of the user's."""
        self.said = text
        self.results = []
        self.tokens += count(text)

    def read(self, text: str) -> None:
        """Take in any other text: it counts, and is not repeated."""
        self.tokens += count(text)

    def learn(self, result: str) -> None:
        """Take in the result of a tool."""
        self.results.append(result)
        self.tokens += count(result)

    def remember(self, *, name: str, arguments: str | dict[str, Any]) -> None:
        """Take in an earlier call of a tool. Arguments that aren't JSON count as the text they are."""
        self.tokens += count(name)
        if isinstance(arguments, str):
            try:
                arguments = msgspec.json.decode(arguments)
            except msgspec.DecodeError:
                return self.read(str(arguments))
        return self.read(compact(arguments))

    def equip(self, *, name: str, schema: dict[str, Any] | None) -> None:
        """Take in the definition of a tool."""
        self.tools.append(Tool(name, schema or {}))
        self.tokens += TOOL_TOKENS
