"""A request for a response as a chat completion request.

Source: OpenAI's "Create a model response", "Create chat completion" and "Migrate to the Responses API".
"""

from typing import Any, Final

from llm.errors import InvalidRequest
from llm.translate.compatible import Accepts
from llm.translate.messages_request_to_chat import Translated
from llm.translate.responses_request import (
    FilePart,
    ImagePart,
    Item,
    OutputTextPart,
    Part,
    RefusalPart,
    ResponsesBody,
    TextPart,
    Tool,
    ToolChoice,
)

Fields = dict[str, Any]

# What lives at OpenAI, and nowhere else. An empty value never asks for anything.
_REFUSED: Final = ("conversation", "previous_response_id", "prompt", "store")
_DROPPED: Final = (
    "include",
    "max_tool_calls",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
    "top_logprobs",
    "metadata",
)


def to_chat(asked: ResponsesBody, *, model: str, accepts: Accepts) -> Translated:
    """Return the chat completion request for ``asked``, for ``model`` at a provider that ``accepts`` so much.

    Raises:
        InvalidRequest: for what the provider can't be asked; names the field.
    """
    for name in _REFUSED:
        if getattr(asked, name):
            raise InvalidRequest(f"Only OpenAI itself keeps what `{name}` asks for.", param=name)
    if asked.max_output_tokens is not None and asked.max_output_tokens < 1:
        raise InvalidRequest("`max_output_tokens` must be at least 1.", param="max_output_tokens")
    messages, origins = _messages(asked, accepts)
    fields: Fields = {
        "model": model,
        "messages": messages,
        accepts.limit: asked.max_output_tokens,
        "tools": [_tool(tool) for tool in asked.tools or ()] or None,
        "tool_choice": _choice(asked.tool_choice),
        "parallel_tool_calls": asked.parallel_tool_calls if asked.tools else None,
        "response_format": _format(asked),
        "stream": asked.stream,
        "stream_options": {"include_usage": True} if asked.stream else None,
    }
    beside: Fields = {
        "reasoning_effort": _effort(asked) if accepts.thinks(model) else None,
        "user": (asked.user or asked.safety_identifier) if accepts.user else None,
    }
    if accepts.samples(model):
        beside |= {"temperature": asked.temperature, "top_p": asked.top_p}
    told = {name: value for name, value in (fields | beside).items() if value is not None}
    return Translated(told, _dropped(asked, told), origins)


def _messages(asked: ResponsesBody, accepts: Accepts) -> tuple[list[Fields], dict[str, str]]:
    """Return the messages, and where what they hold came from."""
    told: list[Fields] = [{"role": "system", "content": asked.instructions}] if asked.instructions else []
    origins = {"messages": "input", "reasoning_effort": "reasoning.effort"}
    if isinstance(asked.input, str):
        return [*told, {"role": "user", "content": asked.input}], origins
    for at, item in enumerate(asked.input):
        _tell(told, item, accepts, at=f"input[{at}]")
        origins |= _origins(told, item, at=f"input[{at}]")
    return told, origins


def _tell(told: list[Fields], item: Item, accepts: Accepts, *, at: str) -> None:
    """Add an item to the messages. What was thought stays here: only its provider could read it."""
    match item.type:
        case "function_call":
            function = {"name": item.name, "arguments": item.arguments}
            call = {"id": item.call_id, "type": "function", "function": function}
            _assistant(told).setdefault("tool_calls", []).append(call)
        case "function_call_output":
            output = _content(item.output, accepts, at=f"{at}.output")
            told.append({"role": "tool", "tool_call_id": item.call_id, "content": output})
        case "message" if item.role is None:
            raise InvalidRequest("A message has a role.", param=f"{at}.role")
        case "message" if item.role == "assistant":
            told.append({"role": "assistant", "content": _spoken(item.content, at=f"{at}.content")})
        case "message":
            # Most servers know a developer's message only by its older name.
            role = "system" if item.role == "developer" else item.role
            told.append({"role": role, "content": _content(item.content or "", accepts, at=f"{at}.content")})


def _origins(told: list[Fields], item: Item, *, at: str) -> dict[str, str]:
    """Return where in the last message an item stands that was added just now."""
    last = f"messages[{len(told) - 1}]"
    match item.type:
        case "function_call":
            return {f"{last}.tool_calls[{len(told[-1]['tool_calls']) - 1}].function": at}
        case "function_call_output":
            return _content_origins(item.output, told=f"{last}.content", at=f"{at}.output")
        case "message":
            return _content_origins(item.content, told=f"{last}.content", at=f"{at}.content")
    return {}


def _content_origins(content: str | list[Part] | None, *, told: str, at: str) -> dict[str, str]:
    parts = content if isinstance(content, list) else []
    files = [number for number, part in enumerate(parts) if isinstance(part, FilePart)]
    return {told: at} | {f"{told}[{number}].file": f"{at}[{number}]" for number in files}


def _assistant(told: list[Fields]) -> Fields:
    """Return the assistant's turn to which a call belongs, begun where there is none."""
    if not told or told[-1]["role"] != "assistant":
        told.append({"role": "assistant", "content": None})
    return told[-1]


def _spoken(content: str | list[Part] | None, *, at: str) -> str:
    if isinstance(content, str | None):
        return content or ""
    texts = []
    for number, part in enumerate(content):
        if isinstance(part, ImagePart | FilePart):
            raise InvalidRequest("The assistant can't have said this.", param=f"{at}[{number}]")
        texts.append(part.refusal if isinstance(part, RefusalPart) else part.text)
    return "".join(texts)


def _content(content: str | list[Part], accepts: Accepts, *, at: str) -> str | list[Fields]:
    if isinstance(content, str):
        return content
    parts = [_part(part, accepts, at=f"{at}[{number}]") for number, part in enumerate(content)]
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts


def _part(part: Part, accepts: Accepts, *, at: str) -> Fields:
    if isinstance(part, TextPart | OutputTextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, RefusalPart):
        return {"type": "text", "text": part.refusal}
    if isinstance(part, ImagePart):
        if part.image_url is None:
            raise InvalidRequest("This provider can't see files uploaded to OpenAI.", param=f"{at}.file_id")
        detail = {"detail": part.detail} if part.detail else {}
        return {"type": "image_url", "image_url": {"url": part.image_url, **detail}}
    if part.file_data is None or not accepts.documents:
        raise InvalidRequest("This provider can't be sent this kind of document.", param=at)
    return {"type": "file", "file": {"filename": part.filename or "document.pdf", "file_data": part.file_data}}


def _tool(tool: Tool) -> Fields:
    function: Fields = {"name": tool.name, "parameters": tool.parameters or {"type": "object", "properties": {}}}
    if tool.description:
        function["description"] = tool.description
    # Here tools are strict unless told otherwise; a chat completion's only if told so.
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: str | ToolChoice | None) -> str | Fields | None:
    if isinstance(choice, ToolChoice):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _format(asked: ResponsesBody) -> Fields | None:
    form = asked.text.format if asked.text else None
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return {"type": "json_object"}
    if form.schema is None:
        raise InvalidRequest("Say which schema.", param="text.format.schema")
    schema: Fields = {"name": form.name, "schema": form.schema}
    if form.description:
        schema["description"] = form.description
    if form.strict is not None:
        schema["strict"] = form.strict
    return {"type": "json_schema", "json_schema": schema}


def _effort(asked: ResponsesBody) -> str | None:
    return asked.reasoning.effort if asked.reasoning else None


def _dropped(asked: ResponsesBody, told: Fields) -> list[str]:
    """Return the names of what the provider isn't told."""
    dropped = [name for name in _DROPPED if getattr(asked, name)]
    dropped += [name for name in ("temperature", "top_p") if getattr(asked, name) is not None and name not in told]
    if asked.truncation == "auto":
        dropped.append("truncation")
    if _effort(asked) and "reasoning_effort" not in told:
        dropped.append("reasoning.effort")
    if asked.text and asked.text.verbosity:
        dropped.append("text.verbosity")
    if (asked.user or asked.safety_identifier) and "user" not in told:
        dropped.append("user")
    if isinstance(asked.input, list) and any(item.type == "reasoning" for item in asked.input):
        dropped.append("input[].reasoning")
    return dropped
