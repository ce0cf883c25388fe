"""What a request for a response may hold, as far as translation reads it.

Source: OpenAI's API reference, "Create a model response". What lives at OpenAI (earlier responses, stored prompts,
files, its own tools) can't be had elsewhere and is refused by its name, as are fields that nobody knows.
"""

from typing import Any, Literal

import msgspec

from llm.translate.chat import Effort, refused


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="input_text"):
    """Text of the user's, or a tool's."""

    text: str


class OutputTextPart(msgspec.Struct, frozen=True, tag_field="type", tag="output_text"):
    """Text of an earlier answer."""

    text: str


class RefusalPart(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    """What the assistant said when it refused."""

    refusal: str


class ImagePart(msgspec.Struct, frozen=True, tag_field="type", tag="input_image"):
    """An image: an address, or the image itself in a ``data:`` URL."""

    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class FilePart(msgspec.Struct, frozen=True, tag_field="type", tag="input_file"):
    """A document."""

    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None
    file_url: str | None = None


Part = TextPart | OutputTextPart | RefusalPart | ImagePart | FilePart


class Item(msgspec.Struct, frozen=True):
    """Something of the conversation: a message, a call of a function, its result, or what was thought about it."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[Part] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | list[Part] = ""


class Reasoning(msgspec.Struct, frozen=True):
    """How much to think."""

    effort: Effort | None = None
    summary: Any = None
    generate_summary: Any = None


class Format(msgspec.Struct, frozen=True):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    name: str = "answer"
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class TextConfig(msgspec.Struct, frozen=True):
    """How the text is to be put out."""

    format: Format | None = None
    verbosity: str | None = None


class Tool(msgspec.Struct, frozen=True):
    """A function of the caller's. OpenAI's own tools have another type."""

    name: str
    type: Literal["function"] = "function"
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """The function that must be called."""

    type: Literal["function"]
    name: str


class ResponsesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request for a response."""

    input: str | list[Item]
    model: str | None = None
    stream: bool | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] | None = None
    background: bool | None = None
    stream_options: Any = None
    # Left out, and named.
    include: Any = None
    max_tool_calls: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    service_tier: Any = None
    top_logprobs: Any = None
    truncation: Any = None
    # Refused, unless they ask for nothing.
    conversation: Any = None
    previous_response_id: Any = None
    prompt: Any = None
    store: bool | None = None


_decode = msgspec.json.Decoder(ResponsesBody).decode


def read(body: bytes) -> ResponsesBody:
    """Return the request that ``body`` holds.

    Raises:
        InvalidRequest: when it isn't one, or holds what can't be translated; names the field.
    """
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise refused(error) from None
