"""What a chat completion request may hold, as far as translation reads it.

Source: OpenAI's API reference, "Create chat completion". Messages may carry more than is read here (clients send
whole answers back); the request itself may not: a field nobody knows is refused, as OpenAI refuses it.
"""

import re
from typing import Any, Literal

import msgspec

from llm.errors import InvalidRequest

_PATH = re.compile(r" - at `\$\.?(.*)`$")
_FIELD = re.compile(r"(?:unknown|required) field `([^`]+)`")


class CacheControl(msgspec.Struct, frozen=True, omit_defaults=True):
    """Anthropic's mark for what to cache, which may stand on a message, a part or a tool."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """Text."""

    text: str
    cache_control: CacheControl | None = None


class RefusalPart(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    """What the assistant said when it refused."""

    refusal: str


class ImageUrl(msgspec.Struct, frozen=True):
    """Where an image is: an address, or the image itself in a ``data:`` URL."""

    url: str


class ImagePart(msgspec.Struct, frozen=True, tag_field="type", tag="image_url"):
    """An image. How closely to look (``detail``) isn't read: Anthropic has no such choice."""

    image_url: ImageUrl | str
    cache_control: CacheControl | None = None

    @property
    def url(self) -> str:
        """The address, in either of the forms clients send."""
        return self.image_url if isinstance(self.image_url, str) else self.image_url.url


class File(msgspec.Struct, frozen=True):
    """A document in a ``data:`` URL, or the name of one uploaded to OpenAI."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(msgspec.Struct, frozen=True, tag_field="type", tag="file"):
    """A document."""

    file: File
    cache_control: CacheControl | None = None


class AudioPart(msgspec.Struct, frozen=True, tag_field="type", tag="input_audio"):
    """Sound."""


Part = TextPart | RefusalPart | ImagePart | FilePart | AudioPart
Content = str | list[Part] | None


class ThinkingBlock(msgspec.Struct, frozen=True):
    """A thinking block of an earlier answer, sent back: signed, or redacted (``data``)."""

    type: Literal["thinking", "redacted_thinking"]
    thinking: str = ""
    signature: str = ""
    data: str = ""

    @property
    def proven(self) -> bool:
        """Whether Anthropic would believe that it comes from Claude, and take it back."""
        return bool(self.signature or self.data)


class CalledFunction(msgspec.Struct, frozen=True):
    """The function that was called. ``arguments`` is JSON, or empty."""

    name: str
    arguments: str = ""


class ToolCall(msgspec.Struct, frozen=True):
    """One call of a tool by the assistant."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class SystemMessage(msgspec.Struct, frozen=True, tag_field="role", tag="system"):
    """A system prompt."""

    content: Content
    name: str | None = None
    cache_control: CacheControl | None = None


class DeveloperMessage(SystemMessage, frozen=True, tag_field="role", tag="developer"):
    """A system prompt, by its newer name."""


class UserMessage(msgspec.Struct, frozen=True, tag_field="role", tag="user"):
    """What the user says. ``name`` tells several users apart, to OpenAI."""

    content: Content
    name: str | None = None
    cache_control: CacheControl | None = None


class AssistantMessage(msgspec.Struct, frozen=True, tag_field="role", tag="assistant"):
    """What the model said, called and thought."""

    content: Content = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Any = None
    audio: Any = None
    thinking_blocks: list[ThinkingBlock] | None = None
    cache_control: CacheControl | None = None


class ToolMessage(msgspec.Struct, frozen=True, tag_field="role", tag="tool"):
    """What a tool answered."""

    tool_call_id: str
    content: Content
    cache_control: CacheControl | None = None


Message = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage


class Function(msgspec.Struct, frozen=True):
    """A function the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True):
    """A tool the model may use."""

    function: Function
    type: Literal["function"] = "function"
    cache_control: CacheControl | None = None


class Named(msgspec.Struct, frozen=True):
    """A name."""

    name: str


class NamedTool(msgspec.Struct, frozen=True, tag_field="type", tag="function"):
    """A tool, by its name."""

    function: Named


class AllowedTools(msgspec.Struct, frozen=True):
    """The tools that may be used this time, of all those defined."""

    mode: Literal["auto", "required"]
    tools: list[NamedTool]


class AllowedToolsChoice(msgspec.Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    """A choice among some of the tools."""

    allowed_tools: AllowedTools


ToolChoice = Literal["none", "auto", "required"] | NamedTool | AllowedToolsChoice


class TextFormat(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """Answer in any form."""


class JsonObjectFormat(msgspec.Struct, frozen=True, tag_field="type", tag="json_object"):
    """Answer with a JSON object."""


class JsonSchema(msgspec.Struct, frozen=True):
    """The form of the answer."""

    name: str
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class JsonSchemaFormat(msgspec.Struct, frozen=True, tag_field="type", tag="json_schema"):
    """Answer with JSON of this form."""

    json_schema: JsonSchema


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Chat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A chat completion request. ``thinking``, ``top_k``, ``cache_control`` are Anthropic's own, taken as they are."""

    messages: list[Message]
    model: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    reasoning_effort: Effort | None = None
    thinking: dict[str, Any] | None = None
    cache_control: CacheControl | None = None
    user: str | None = None
    safety_identifier: str | None = None
    # Left out, and named by dropped_fields.
    seed: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    store: Any = None
    metadata: Any = None
    service_tier: Any = None
    verbosity: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    # Refused, unless they ask for nothing.
    n: Any = None
    logit_bias: Any = None
    audio: Any = None
    modalities: Any = None
    functions: Any = None
    function_call: Any = None
    prediction: Any = None
    frequency_penalty: Any = None
    presence_penalty: Any = None
    web_search_options: Any = None
    moderation: Any = None


_decoder = msgspec.json.Decoder(Chat)


def read(body: bytes) -> Chat:
    """Return the request that ``body`` holds.

    Raises:
        InvalidRequest: when it isn't one; names the field.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise refused(error) from None


def refused(error: Exception) -> InvalidRequest:
    """Return how a body that can't be read is refused: with the field where it is known."""
    if isinstance(error, msgspec.ValidationError):
        said = str(error)
        return InvalidRequest(f"{said.partition(' - at `')[0]}.", param=_param(said))
    return InvalidRequest("The request body isn't valid JSON.")


def _param(said: str) -> str | None:
    """Return the field that msgspec complains of, in OpenAI's notation: ``messages[0].content``."""
    path, field = _PATH.search(said), _FIELD.search(said)
    found = [match.group(1) for match in (path, field) if match]
    return ".".join(found) or None
