"""The tools of a chat completion request, the choice among them, and answers in JSON.

Source: Anthropic's "Define tools", "Parallel tool use" and "Structured outputs".
"""

from typing import Any, Final

import msgspec

from llm.errors import InvalidRequest
from llm.translate.chat import (
    AllowedToolsChoice,
    AssistantMessage,
    Chat,
    JsonObjectFormat,
    JsonSchema,
    JsonSchemaFormat,
    NamedTool,
    Tool,
    ToolChoice,
)
from llm.translate.claude import Claude
from llm.translate.schemas import enforceable

Fields = dict[str, Any]

# Models without structured outputs answer in JSON by calling this tool. On the way back its call is the text.
ANSWER_TOOL: Final = "vutler_json_answer"

_JSON_ONLY: Final = "Answer with a single JSON object and nothing else: no text around it and no code fence."


def tools_of(chat: Chat, claude: Claude) -> list[Fields]:
    """Return the tools the model may see this time, the one to answer in JSON with included."""
    tools = [_tool(tool, claude) for tool in _offered(chat)]
    if not tools:
        tools = _tools_of_earlier_calls(chat)
    schema = answer_schema(chat, claude)
    if schema:
        description = schema.description or "Give the answer."
        tools.append({"name": ANSWER_TOOL, "description": description, "input_schema": _object(schema.schema)})
    return tools


def choice_of(chat: Chat, claude: Claude) -> Fields | None:
    """Return what the model may do with its tools, None where it is free."""
    answer_alone = answer_schema(chat, claude) is not None and (not chat.tools or chat.tool_choice == "none")
    if answer_alone:
        return {"type": "tool", "name": ANSWER_TOOL, "disable_parallel_tool_use": True}
    if not chat.tools:
        return {"type": "none"} if _called_before(chat) else None
    choice = {"type": "any"} if answer_schema(chat, claude) else _choice(chat.tool_choice)
    if chat.parallel_tool_calls is False and choice != {"type": "none"}:
        return {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return choice


def output_format(chat: Chat, claude: Claude) -> Fields | None:
    """Return ``output_config.format`` for a JSON schema, where the model has structured outputs."""
    wanted = chat.response_format
    if isinstance(wanted, JsonSchemaFormat) and claude.structured_outputs:
        return {"type": "json_schema", "schema": enforceable(wanted.json_schema.schema)}
    return None


def instruction(chat: Chat) -> list[Fields]:
    """Return what to add to the system prompt: that the answer is to be a JSON object."""
    return [{"type": "text", "text": _JSON_ONLY}] if isinstance(chat.response_format, JsonObjectFormat) else []


def answer_schema(chat: Chat, claude: Claude) -> JsonSchema | None:
    """Return the schema to answer in by calling a tool: the model knows no better, and no other tool is forced."""
    wanted = chat.response_format
    if not isinstance(wanted, JsonSchemaFormat) or claude.structured_outputs:
        return None
    return wanted.json_schema if chat.tool_choice in (None, "auto", "none") or not chat.tools else None


def _offered(chat: Chat) -> list[Tool]:
    tools = chat.tools or []
    allowed = _chosen(chat.tool_choice) if isinstance(chat.tool_choice, AllowedToolsChoice) else None
    return tools if allowed is None else [tool for tool in tools if tool.function.name in allowed]


def _tool(tool: Tool, claude: Claude) -> Fields:
    function = tool.function
    strict = bool(function.strict) and claude.structured_outputs
    schema = _object(function.parameters or {})
    fields: Fields = {"name": function.name, "input_schema": enforceable(schema) if strict else schema}
    if function.description:
        fields["description"] = function.description
    if strict:
        fields["strict"] = True
    if tool.cache_control:
        fields["cache_control"] = msgspec.to_builtins(tool.cache_control)
    return fields


def _object(schema: Fields) -> Fields:
    """Return the schema of an object: OpenAI lets a function without parameters say nothing."""
    return schema if "type" in schema else {"type": "object", "properties": {}, **schema}


def _choice(choice: ToolChoice | None) -> Fields | None:
    if choice is None or choice == "auto":
        return None
    if isinstance(choice, str):
        return {"type": "any" if choice == "required" else "none"}
    if isinstance(choice, NamedTool):
        return {"type": "tool", "name": choice.function.name}
    return {"type": "any"} if choice.allowed_tools.mode == "required" else None


def _called_before(chat: Chat) -> list[str]:
    """Return the names of the tools called earlier in the conversation, each once."""
    said = [message for message in chat.messages if isinstance(message, AssistantMessage)]
    return list(dict.fromkeys(call.function.name for message in said for call in message.tool_calls or ()))


def _tools_of_earlier_calls(chat: Chat) -> list[Fields]:
    """Return bare definitions of the tools called earlier: Anthropic wants each defined, OpenAI doesn't."""
    return [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in _called_before(chat)]


def check_tools(chat: Chat) -> None:
    """Raise InvalidRequest for a choice among tools that aren't there, as OpenAI does."""
    names = {tool.function.name for tool in chat.tools or ()}
    if ANSWER_TOOL in names:
        raise InvalidRequest(f"The name `{ANSWER_TOOL}` is taken.", param="tools")
    if chat.tool_choice == "required" and not names:
        raise InvalidRequest("`tool_choice` is only allowed with `tools`.", param="tool_choice")
    chosen = _chosen(chat.tool_choice)
    if chosen is not None and not (chosen and chosen <= names):
        raise InvalidRequest("`tool_choice` names a tool that isn't in `tools`.", param="tool_choice")


def _chosen(choice: ToolChoice | None) -> set[str] | None:
    """Return the names a choice gives, None where it gives none."""
    if isinstance(choice, NamedTool):
        return {choice.function.name}
    if isinstance(choice, AllowedToolsChoice):
        return {tool.function.name for tool in choice.allowed_tools.tools}
    return None
