"""What each generation of Claude accepts, by the version in its name.

Sources, as of November 2026: Anthropic's "Models overview", "Structured outputs", "Thinking", "Effort" and the
migration guides to 4.6, 4.7 and 5. A name without a version is taken for the newest; a name that isn't Claude's
(a server that speaks the dialect) for 4.5, the last that took everything.
"""

import re
from functools import lru_cache
from typing import Final, Literal

import msgspec

_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_NEWEST: Final = (99, 0)
_OTHER: Final = (4, 5)


class Claude(msgspec.Struct, frozen=True, kw_only=True):
    """What a model accepts.

    ``max_tokens`` is our limit (tokens) where the caller sets none, as Anthropic demands one. ``thinking`` is how it
    is told to think: not at all, by a budget of tokens, or adaptively by an effort; ``xhigh`` whether it knows that
    effort. ``sampling`` is how many of temperature and top_p it takes at once.
    """

    max_tokens: int
    thinking: Literal["never", "budget", "adaptive"]
    xhigh: bool
    structured_outputs: bool
    sampling: Literal[0, 1, 2]


@lru_cache(maxsize=512)
def accepts(model: str) -> Claude:
    """Return what ``model`` accepts."""
    version = _version(model)
    return Claude(
        max_tokens=_default_max_tokens(version),
        thinking="never" if version < (3, 7) else "budget" if version < (4, 6) else "adaptive",
        xhigh=version >= (4, 7),
        structured_outputs=version >= (4, 5),
        sampling=2 if version < (4, 1) else 1 if version < (4, 7) else 0,
    )


def _version(model: str) -> tuple[int, int]:
    found = _VERSION.search(model)
    if found:
        return int(found.group(1)), int(found.group(2) or 0)
    return _NEWEST if "claude" in model else _OTHER


def _default_max_tokens(version: tuple[int, int]) -> int:
    """Return a limit (tokens) that every model of this version allows, and that leaves room for its prompt."""
    if version < (3, 5):
        return 4_096
    if version < (3, 7):
        return 8_192
    return 16_000 if version < (4, 6) else 32_000
