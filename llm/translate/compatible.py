"""What OpenAI-compatible providers take of a chat completion request, beyond what they all take.

Sources, as of November 2026: OpenAI's "Reasoning models", Mistral's, Groq's and MiniMax's API references, OpenRouter's
"Parameters". Mistral refuses fields that it doesn't know; the others pass over them.
"""

import re
from typing import Final, Literal

import msgspec

# OpenAI's models that think first: they take an effort, and no temperature.
_REASONING: Final = re.compile(r"o\d|gpt-[5-9](?!.*-chat)")


class Accepts(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider accepts.

    ``limit`` is its name for the most tokens of an answer; ``effort`` whose models take a ``reasoning_effort``: none,
    OpenAI's that think, or all; ``documents`` are PDFs, ``user`` and ``top_k`` the fields of that name.
    """

    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    effort: Literal["none", "reasoning", "all"] = "none"
    documents: bool = False
    user: bool = True
    top_k: bool = False

    def thinks(self, model: str) -> bool:
        """Whether ``model`` can be told how much to think."""
        return self.effort == "all" or (self.effort == "reasoning" and bool(_REASONING.match(model)))

    def samples(self, model: str) -> bool:
        """Whether ``model`` takes a temperature and the like."""
        return self.effort != "reasoning" or not _REASONING.match(model)


ALL: Final = Accepts(limit="max_completion_tokens", effort="all", documents=True, top_k=True)
