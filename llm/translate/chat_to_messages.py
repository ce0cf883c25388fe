"""A chat completion request as a request for Anthropic's messages.

Sources: OpenAI's "Create chat completion", Anthropic's "Create a message". What can't be said to Anthropic and would
change the answer is refused, by its name. What only asks for something beside the answer is left out, and named by
:func:`dropped_fields`.
"""

from typing import Any, Final

import msgspec

from llm.errors import InvalidRequest
from llm.translate.chat import Chat, ToolMessage
from llm.translate.chat_tools import answer_schema, check_tools, choice_of, instruction, output_format, tools_of
from llm.translate.chat_turns import system_of, turns_of
from llm.translate.claude import Claude, accepts
from llm.translate.reasoning import Reasoning, forces_a_tool, reasoning_of

Fields = dict[str, Any]

# Each with the values that ask for nothing. An empty list or object never does.
_REFUSED: Final[dict[str, tuple[Any, ...]]] = {
    "n": (1,),
    "logit_bias": (),
    "audio": (),
    "modalities": (["text"],),
    "functions": (),
    "function_call": ("none", "auto"),
    "prediction": (),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "web_search_options": (),
    "moderation": (),
}
_USE_TOOLS: Final = frozenset({"functions", "function_call"})
_DROPPED: Final = (
    "seed",
    "logprobs",
    "top_logprobs",
    "store",
    "metadata",
    "service_tier",
    "verbosity",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
)
_SAMPLING: Final = ("temperature", "top_p", "top_k")


def to_messages(chat: Chat, *, model: str) -> Fields:
    """Return the body to send to Anthropic for ``chat``, for ``model``.

    A temperature above 1, which only OpenAI knows, becomes 1: to both it means as much chance as there is.

    Raises:
        InvalidRequest: for what Anthropic can't be asked; names the field.
    """
    _check(chat)
    claude = accepts(model)
    reasoning = _reasoning(chat, claude)
    system = system_of(chat.messages) + instruction(chat)
    fields: Fields = {
        "model": model,
        "max_tokens": reasoning.max_tokens,
        "messages": turns_of(chat.messages),
        "system": system,
        "stop_sequences": _stop(chat),
        "tools": tools_of(chat, claude),
        "tool_choice": choice_of(chat, claude),
        "thinking": reasoning.thinking,
        "output_config": _without_nothing({"effort": reasoning.effort, "format": output_format(chat, claude)}),
        "cache_control": msgspec.to_builtins(chat.cache_control),
        "metadata": _without_nothing({"user_id": chat.user or chat.safety_identifier}),
        "stream": chat.stream,
    }
    return _without_nothing(fields) | _sampling(chat, claude, reasoning)


def dropped_fields(chat: Chat, *, model: str) -> list[str]:
    """Return the names of the fields of ``chat`` that ``model`` isn't told of."""
    claude = accepts(model)
    reasoning = _reasoning(chat, claude)
    sent = _sampling(chat, claude, reasoning)
    dropped = [name for name in _DROPPED if getattr(chat, name) not in (None, False)]
    dropped += [name for name in _SAMPLING if getattr(chat, name) is not None and name not in sent]
    if chat.reasoning_effort not in (None, "none") and not reasoning.thinking and not reasoning.effort:
        dropped.append("reasoning_effort")
    if any(not isinstance(message, ToolMessage) and message.name for message in chat.messages):
        dropped.append("messages[].name")
    return dropped


def _check(chat: Chat) -> None:
    for name, harmless in _REFUSED.items():
        value = getattr(chat, name)
        if value is None or value in ([], {}) or value in harmless:
            continue
        hint = ": use `tools`" if name in _USE_TOOLS else ""
        raise InvalidRequest(f"Anthropic has nothing that does what `{name}` asks for{hint}.", param=name)
    for name in ("max_tokens", "max_completion_tokens"):
        limit = getattr(chat, name)
        if limit is not None and limit < 1:
            raise InvalidRequest(f"`{name}` must be at least 1.", param=name)
    check_tools(chat)


def _reasoning(chat: Chat, claude: Claude) -> Reasoning:
    forced = forces_a_tool(chat) or answer_schema(chat, claude) is not None
    return reasoning_of(chat, claude, forced=forced)


def _sampling(chat: Chat, claude: Claude, reasoning: Reasoning) -> Fields:
    """Return what to set of temperature, top_p and top_k.

    None of them where the model thinks or no longer takes them; of the first two, temperature where it takes one.
    """
    if reasoning.thinks or claude.sampling == 0:
        return {}
    fields: Fields = {}
    if chat.temperature is not None:
        fields["temperature"] = min(max(chat.temperature, 0.0), 1.0)
    if chat.top_p is not None and (claude.sampling > 1 or not fields):
        fields["top_p"] = chat.top_p
    if chat.top_k is not None:
        fields["top_k"] = chat.top_k
    return fields


def _stop(chat: Chat) -> list[str]:
    stop = [chat.stop] if isinstance(chat.stop, str) else chat.stop or []
    if any(not text or text.isspace() for text in stop):
        raise InvalidRequest("Anthropic's models can't be stopped by white space alone.", param="stop")
    return stop


def _without_nothing(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value not in (None, [], {}, False)}
