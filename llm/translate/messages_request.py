"""What a request for messages may hold, as far as translation reads it.

Source: Anthropic's API reference, "Create a Message". A field or a kind of block that nobody knows is refused, by its
name: what it asks for can't be had from another provider.
"""

from typing import Any, Literal

import msgspec

from llm.translate.chat import refused


class Citations(msgspec.Struct, frozen=True):
    """Whether the answer is to quote the document."""

    enabled: bool | None = None


class TextBlock(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """Text."""

    text: str
    cache_control: Any = None


class Base64Source(msgspec.Struct, frozen=True, tag_field="type", tag="base64"):
    """The thing itself."""

    media_type: str
    data: str


class UrlSource(msgspec.Struct, frozen=True, tag_field="type", tag="url"):
    """Where the thing is."""

    url: str


class TextSource(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """A document that is plain text."""

    data: str


class ContentSource(msgspec.Struct, frozen=True, tag_field="type", tag="content"):
    """A document in parts."""

    content: str | list[TextBlock]


class ImageBlock(msgspec.Struct, frozen=True, tag_field="type", tag="image"):
    """An image."""

    source: Base64Source | UrlSource
    cache_control: Any = None

    @property
    def url(self) -> str:
        """Where it is, itself included."""
        source = self.source
        return source.url if isinstance(source, UrlSource) else f"data:{source.media_type};base64,{source.data}"


class DocumentBlock(msgspec.Struct, frozen=True, tag_field="type", tag="document"):
    """A document."""

    source: Base64Source | UrlSource | TextSource | ContentSource
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None
    cache_control: Any = None


class ToolUseBlock(msgspec.Struct, frozen=True, tag_field="type", tag="tool_use"):
    """A call of a tool by the assistant."""

    id: str
    name: str
    input: msgspec.Raw
    cache_control: Any = None


class ToolResultBlock(msgspec.Struct, frozen=True, tag_field="type", tag="tool_result"):
    """What a tool answered."""

    tool_use_id: str
    content: str | list[TextBlock | ImageBlock | DocumentBlock] = ""
    is_error: bool | None = None
    cache_control: Any = None


class ThinkingBlock(msgspec.Struct, frozen=True, tag_field="type", tag="thinking"):
    """What the model thought."""

    thinking: str = ""


class RedactedThinkingBlock(msgspec.Struct, frozen=True, tag_field="type", tag="redacted_thinking"):
    """What the model thought, unreadable."""


Block = TextBlock | ImageBlock | DocumentBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock | RedactedThinkingBlock


class Message(msgspec.Struct, frozen=True):
    """A turn of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Tool(msgspec.Struct, frozen=True):
    """A tool of the caller's. Tools of Anthropic's own have another type."""

    name: str
    input_schema: dict[str, Any]
    type: Literal["custom"] | None = None
    description: str | None = None
    strict: bool | None = None
    cache_control: Any = None


class ToolChoice(msgspec.Struct, frozen=True):
    """What the model may do with its tools."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct, frozen=True):
    """How much to think. ``budget_tokens`` comes with ``enabled``."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: int | None = None


class Format(msgspec.Struct, frozen=True):
    """The form of the answer."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct, frozen=True):
    """How the answer is to be put out."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: Format | None = None


class Metadata(msgspec.Struct, frozen=True):
    """Who asks."""

    user_id: str | None = None


class MessagesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request for a message."""

    messages: list[Message]
    max_tokens: int
    model: str | None = None
    stream: bool | None = None
    system: str | list[TextBlock] | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None
    metadata: Metadata | None = None
    # Left out, and named.
    cache_control: Any = None
    service_tier: Any = None
    speed: Any = None
    context_management: Any = None
    diagnostics: Any = None


_decode = msgspec.json.Decoder(MessagesBody).decode


def read(body: bytes) -> MessagesBody:
    """Return the request that ``body`` holds.

    Raises:
        InvalidRequest: when it isn't one, or holds what can't be translated; names the field.
    """
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise refused(error) from None
