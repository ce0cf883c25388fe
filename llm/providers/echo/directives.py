"""How a request says in what way it wants to be treated: ``Hello [[delay=0.5]] [[cached=100]]``.

The same keys can come in a header (``x-echo: delay=0.5; cached=100``). What stands in double square brackets and
is no directive is text like any other. A directive counts as the input token that it is; it is not repeated.
"""

import re
from typing import Annotated, Final, Literal

import msgspec

from llm.providers.echo.refusals import Refusal

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Number = Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How one request is treated. Times are in seconds."""

    delay: Seconds = 0
    """Wait so long before the first byte."""
    chunk_delay: Seconds = 0
    """Wait so long before each chunk of a stream."""
    stall: Seconds = 0
    """Stop for so long after the first chunk."""
    cut: Number | None = None
    """Close the connection after so many chunks; a whole answer is closed half-way; 0 is before the first byte."""
    split: Number = 0
    """Write the stream in pieces of so many bytes, wherever they fall."""
    garbage: bool = False
    """Send something that isn't JSON: after the first chunk, or as the whole answer."""
    stream_error: Number | None = None
    """End the stream with an error event after so many chunks."""
    no_done: bool = False
    """Leave out the event that ends a stream."""

    status: Annotated[int, msgspec.Meta(ge=400, le=599)] | None = None
    """Answer with this error."""
    error: Literal["", "no_credit"] = ""
    """Answer as this provider does when an account is empty."""
    quote_key: bool = False
    """Quote the key in that error, whole, as careless servers do."""
    retry_after: Seconds | None = None
    """Tell to come back in so many seconds."""

    text: str = ""
    """Answer with this text."""
    words: Number | None = None
    """Answer with so many words."""
    tools: Number = 0
    """Call tools so many times."""
    reasoning: Number = 0
    """Think for so many tokens first."""
    finish: Literal["", "length", "refusal"] = ""
    """Stop for this reason."""
    model: str = ""
    """Say that this model answered."""

    cached: Number = 0
    """So many input tokens, besides those that were sent, came from the cache."""
    cache_write: Number = 0
    """So many input tokens, besides those that were sent, were put into the cache for five minutes."""
    cache_write_1h: Number = 0
    """The same, for an hour."""
    cost: float | None = None
    """Say that it cost so much (USD; OpenRouter only)."""
    no_usage: bool = False
    """Don't report usage."""
    usage_in_choice_chunk: bool = False
    """Report a stream's usage in its last chunk with choices, unasked."""

    provider: Literal["", "custom", "openai", "anthropic", "minimax", "groq", "mistral", "openrouter"] = ""
    """Have the habits of this provider."""


KEYS: Final = frozenset(Behaviour.__struct_fields__)
PLAIN: Final = Behaviour()
_DIRECTIVE: Final = re.compile(rf"\[\[({'|'.join(sorted(KEYS))})(?:=([^\]]*))?\]\]\s?")


def in_text(text: str) -> tuple[str, dict[str, str]]:
    """Return ``text`` without its directives, and the directives."""
    if "[[" not in text:
        return text, {}
    found = {match[1]: "true" if match[2] is None else match[2] for match in _DIRECTIVE.finditer(text)}
    return _DIRECTIVE.sub("", text).strip(), found


def in_header(value: str) -> dict[str, str]:
    """Return the directives of a header such as ``delay=0.5; no_usage``.

    Raises:
        Refusal: when there is no such directive.
    """
    found = {}
    for part in filter(None, (part.strip() for part in value.split(";"))):
        key, equals, given = part.partition("=")
        if key not in KEYS:
            raise Refusal(400, f"There is no directive {key!r}.")
        found[key] = given if equals else "true"
    return found


def behaviour(*, base: Behaviour, asked: dict[str, str]) -> Behaviour:
    """Return ``base`` with what was asked for in its place.

    Raises:
        msgspec.ValidationError: when a value can't be read.
    """
    if not asked:
        return base
    return msgspec.convert({**msgspec.to_builtins(base), **asked}, Behaviour, strict=False)
