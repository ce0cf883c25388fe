"""A request for messages as a chat completion request.

Sources: Anthropic's "Create a Message", "Extended thinking" and "Structured outputs"; OpenAI's "Create chat
completion". What the provider can't be told and would change the answer is refused, by its name; what only asks for
something beside the answer is left out, and named.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from llm.errors import InvalidRequest
from llm.translate.compatible import Accepts
from llm.translate.messages_request import (
    MessagesBody,
    RedactedThinkingBlock,
    ThinkingBlock,
    Tool,
    ToolChoice,
)
from llm.translate.messages_turns_to_chat import messages_of

Fields = dict[str, Any]

# Budgets of thinking (tokens) from which on an effort is meant.
_MEDIUM_FROM: Final = 4_096
_HIGH_FROM: Final = 12_288
_DROPPED: Final = ("cache_control", "service_tier", "speed", "context_management", "diagnostics")
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


class Translated(NamedTuple):
    """A request in another dialect, and the names of the fields that were left out.

    ``origins``: which of the caller's fields some of its fields came from, where their names differ.
    """

    fields: Fields
    dropped: list[str]
    origins: Mapping[str, str] = MappingProxyType({})

    def origin(self, name: str) -> str:
        """Return the caller's field that a field came from, or one that holds it."""
        ends = [at for at, letter in enumerate(name) if letter in ".["]
        for end in (len(name), *reversed(ends)):
            if name[:end] in self.origins:
                return self.origins[name[:end]] + name[end:]
        return name


def to_chat(asked: MessagesBody, *, model: str, accepts: Accepts) -> Translated:
    """Return the chat completion request for ``asked``, for ``model`` at a provider that ``accepts`` so much.

    Raises:
        InvalidRequest: for what the provider can't be asked; names the field.
    """
    if asked.max_tokens < 1:
        raise InvalidRequest("`max_tokens` must be at least 1.", param="max_tokens")
    fields: Fields = {
        "model": model,
        "messages": messages_of(asked, accepts),
        accepts.limit: asked.max_tokens,
        "stop": asked.stop_sequences or None,
        "tools": [_tool(tool) for tool in asked.tools or ()] or None,
        "response_format": _format(asked),
        "stream": asked.stream,
        "stream_options": {"include_usage": True} if asked.stream else None,
        **_choice(asked.tool_choice),
    }
    beside: Fields = {
        "reasoning_effort": _effort(asked) if accepts.thinks(model) else None,
        "user": asked.metadata.user_id if asked.metadata and accepts.user else None,
        "top_k": asked.top_k if accepts.top_k else None,
    }
    if accepts.samples(model):
        beside |= {"temperature": asked.temperature, "top_p": asked.top_p}
    told = {name: value for name, value in (fields | beside).items() if value is not None}
    return Translated(told, _dropped(asked, told))


def _tool(tool: Tool) -> Fields:
    function: Fields = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice | None) -> Fields:
    if choice is None:
        return {}
    chosen: Any = _CHOICES.get(choice.type)
    if choice.type == "tool":
        if choice.name is None:
            raise InvalidRequest("Name the tool to call.", param="tool_choice.name")
        chosen = {"type": "function", "function": {"name": choice.name}}
    alone = {"parallel_tool_calls": False} if choice.disable_parallel_tool_use and choice.type != "none" else {}
    return {"tool_choice": chosen, **alone}


def _format(asked: MessagesBody) -> Fields | None:
    form = (asked.output_config.format if asked.output_config else None) or asked.output_format
    if form is None:
        return None
    schema = {"name": "answer", "schema": form.schema, "strict": _is_strict(form.schema)}
    return {"type": "json_schema", "json_schema": schema}


def _is_strict(schema: Any) -> bool:
    """Whether OpenAI would enforce the schema: closed objects, every property required."""
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict):
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(properties):
            return False
    return all(map(_is_strict, schema.values()))


def _effort(asked: MessagesBody) -> str | None:
    """Return how much to think, in OpenAI's words; None where nothing was said about it."""
    told = asked.output_config.effort if asked.output_config else None
    if told:
        return {"xhigh": "high", "max": "high"}.get(told, told)
    thinking = asked.thinking
    if thinking is None or thinking.type != "enabled":
        return "medium" if thinking and thinking.type == "adaptive" else None
    budget = thinking.budget_tokens or 0
    return "low" if budget < _MEDIUM_FROM else "medium" if budget < _HIGH_FROM else "high"


def _dropped(asked: MessagesBody, told: Fields) -> list[str]:
    """Return the names of what the provider isn't told."""
    dropped = [name for name in _DROPPED if getattr(asked, name) is not None]
    dropped += [name for name in ("temperature", "top_p", "top_k") if getattr(asked, name) is not None]
    if _effort(asked) and "reasoning_effort" not in told:
        dropped.append("thinking" if asked.thinking else "output_config.effort")
    if asked.metadata and asked.metadata.user_id and "user" not in told:
        dropped.append("metadata.user_id")
    if "cache_control" not in dropped and _marks_cache(asked):
        dropped.append("cache_control")
    blocks = [block for message in asked.messages if isinstance(message.content, list) for block in message.content]
    if any(isinstance(block, ThinkingBlock | RedactedThinkingBlock) for block in blocks):
        dropped.append("messages[].content[].thinking")
    return [name for name in dropped if name not in told]


def _marks_cache(asked: MessagesBody) -> bool:
    marked: list[Any] = [*(asked.tools or ()), *(asked.system if isinstance(asked.system, list) else ())]
    for message in asked.messages:
        marked += message.content if isinstance(message.content, list) else ()
    return any(getattr(each, "cache_control", None) is not None for each in marked)
