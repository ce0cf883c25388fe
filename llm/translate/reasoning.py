"""How much to think: OpenAI's ``reasoning_effort`` as Anthropic's thinking.

Source: Anthropic's "Thinking" and "Effort". Up to 4.5 a budget of tokens is set, which counts towards max_tokens and
must be smaller; from 4.6 the model decides by itself, told an effort.
"""

from typing import Any, Final

import msgspec

from llm.translate.chat import AssistantMessage, Chat, Effort, NamedTool
from llm.translate.claude import Claude

_SMALLEST_BUDGET: Final = 1_024
# Tokens. With our own limit for the answer the largest comes to 32,000, the most that Opus 4 puts out.
_BUDGETS: Final[dict[Effort, int]] = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_000,
    "xhigh": 16_000,
    "max": 16_000,
}


class Reasoning(msgspec.Struct, frozen=True):
    """What to ask for: ``thinking`` and ``effort`` as Anthropic takes them, and the limit that leaves room for it."""

    max_tokens: int
    thinking: dict[str, Any] | None = None
    effort: str | None = None

    @property
    def thinks(self) -> bool:
        """Whether thinking is asked for: it forbids setting the temperature."""
        return bool(self.thinking) and self.thinking != {"type": "disabled"}


def reasoning_of(chat: Chat, claude: Claude, *, forced: bool) -> Reasoning:
    """Return how much to think, and the limit of tokens that goes with it.

    A caller's ``thinking``, in Anthropic's form, is taken as it is. An effort that can't be had is left out:
    where the model doesn't think, where a tool is ``forced`` (Anthropic allows no thinking then), where the limit is
    too small, or where earlier thinking about a running tool call wasn't sent back. ``none`` asks for no thinking,
    which is what a model does unless told; those that always think are told to think little.
    """
    limit = chat.max_completion_tokens or chat.max_tokens
    max_tokens = limit or claude.max_tokens
    effort = chat.reasoning_effort
    if chat.thinking:
        return Reasoning(max_tokens, thinking=chat.thinking)
    if effort is None or claude.thinking == "never":
        return Reasoning(max_tokens)
    if claude.thinking == "adaptive":
        return _adaptive(effort, claude, max_tokens=max_tokens, forced=forced)
    if effort == "none" or forced or _thoughts_are_missing(chat):
        return Reasoning(max_tokens)
    budget = _BUDGETS[effort]
    if limit:
        budget = min(budget, limit // 2)
        if budget < _SMALLEST_BUDGET:
            return Reasoning(max_tokens)
    else:
        max_tokens += budget
    return Reasoning(max_tokens, thinking={"type": "enabled", "budget_tokens": budget})


def _adaptive(effort: Effort, claude: Claude, *, max_tokens: int, forced: bool) -> Reasoning:
    told: str = {"none": "low", "minimal": "low"}.get(effort, effort)
    if told == "xhigh" and not claude.xhigh:
        told = "high"
    if forced or effort == "none":
        return Reasoning(max_tokens, effort=told)
    # Newer models keep their thoughts to themselves unless asked for them.
    return Reasoning(max_tokens, thinking={"type": "adaptive", "display": "summarized"}, effort=told)


def _thoughts_are_missing(chat: Chat) -> bool:
    """Whether the model last called a tool, and what it thought before isn't there.

    Anthropic refuses to go on thinking then, and most OpenAI clients don't send thinking back.
    """
    said = [message for message in chat.messages if isinstance(message, AssistantMessage)]
    if not said or not said[-1].tool_calls:
        return False
    return not any(block.proven for block in said[-1].thinking_blocks or ())


def forces_a_tool(chat: Chat) -> bool:
    """Whether the caller's ``tool_choice`` leaves the model no choice but to call a tool."""
    choice = chat.tool_choice
    if isinstance(choice, str) or choice is None:
        return choice == "required"
    return isinstance(choice, NamedTool) or choice.allowed_tools.mode == "required"
