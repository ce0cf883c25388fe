"""The system prompt and turns of a request for messages as chat completion messages.

Sources: Anthropic's "Implement tool use", "Vision" and "PDF support"; OpenAI's "Create chat completion".
"""

from typing import Any

from llm.errors import InvalidRequest
from llm.translate.compatible import Accepts
from llm.translate.messages_request import (
    Base64Source,
    Block,
    ContentSource,
    DocumentBlock,
    ImageBlock,
    Message,
    MessagesBody,
    RedactedThinkingBlock,
    TextBlock,
    TextSource,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)

Fields = dict[str, Any]


def messages_of(asked: MessagesBody, accepts: Accepts) -> list[Fields]:
    """Return the conversation, system prompt first.

    Raises:
        InvalidRequest: for what the provider can't be told; names the field.
    """
    if asked.messages and asked.messages[-1].role == "assistant":
        raise InvalidRequest("This provider can't go on with a message that was begun for it.", param="messages")
    told: list[Fields] = []
    if asked.system:
        told.append({"role": "system", "content": _joined(asked.system)})
    for at, message in enumerate(asked.messages):
        told += _turn(message, accepts, at=f"messages[{at}].content")
    return told


def _turn(message: Message, accepts: Accepts, *, at: str) -> list[Fields]:
    content = message.content
    if isinstance(content, str):
        return [{"role": message.role, "content": content}]
    if message.role == "assistant":
        return [_said(content, at=at)]
    results = [_result(block) for block in content if isinstance(block, ToolResultBlock)]
    parts: list[Fields] = []
    for number, block in enumerate(content):
        parts += _parts(block, accepts, at=f"{at}[{number}]")
    return results + ([{"role": message.role, "content": _simple(parts)}] if parts else [])


def _said(content: list[Block], *, at: str) -> Fields:
    """Return an assistant's turn. What it thought stays here: its proof is worth nothing elsewhere."""
    texts, calls = [], []
    for number, block in enumerate(content):
        if isinstance(block, TextBlock):
            texts.append(block.text)
        elif isinstance(block, ToolUseBlock):
            function = {"name": block.name, "arguments": bytes(block.input).decode()}
            calls.append({"id": block.id, "type": "function", "function": function})
        elif not isinstance(block, ThinkingBlock | RedactedThinkingBlock):
            raise InvalidRequest("The assistant can't have said this.", param=f"{at}[{number}]")
    message: Fields = {"role": "assistant", "content": "".join(texts) or None}
    if calls:
        message["tool_calls"] = calls
    return message


def _result(block: ToolResultBlock) -> Fields:
    """Return a tool's answer as the text it is; its images follow in the user's message (:func:`_parts`)."""
    content = block.content
    text = content if isinstance(content, str) else "\n".join(b.text for b in content if isinstance(b, TextBlock))
    if block.is_error:
        text = f"Error: {text}"
    return {"role": "tool", "tool_call_id": block.tool_use_id, "content": text}


def _parts(block: Block, accepts: Accepts, *, at: str) -> list[Fields]:
    """Return what a user's block adds to the message."""
    if isinstance(block, TextBlock):
        return [_text(block.text)]
    if isinstance(block, ImageBlock):
        return [{"type": "image_url", "image_url": {"url": block.url}}]
    if isinstance(block, DocumentBlock):
        return _document(block, accepts, at=at)
    if isinstance(block, ToolResultBlock):
        # Only text can stand in a tool's message.
        shown = [] if isinstance(block.content, str) else block.content
        others = [(number, part) for number, part in enumerate(shown) if not isinstance(part, TextBlock)]
        return [part for number, each in others for part in _parts(each, accepts, at=f"{at}.content[{number}]")]
    raise InvalidRequest("The user can't have said this.", param=at)


def _document(block: DocumentBlock, accepts: Accepts, *, at: str) -> list[Fields]:
    if block.citations and block.citations.enabled:
        raise InvalidRequest("This provider doesn't cite documents.", param=f"{at}.citations")
    source = block.source
    about = [_text(text) for text in (block.title, block.context) if text]
    if isinstance(source, TextSource):
        return [*about, _text(source.data)]
    if isinstance(source, ContentSource):
        return [*about, _text(_joined(source.content))]
    if not accepts.documents or not isinstance(source, Base64Source):
        raise InvalidRequest("This provider can't be sent this kind of document.", param=f"{at}.source")
    file = {
        "filename": block.title or "document.pdf",
        "file_data": f"data:{source.media_type};base64,{source.data}",
    }
    return [*([_text(block.context)] if block.context else []), {"type": "file", "file": file}]


def _simple(parts: list[Fields]) -> str | list[Fields]:
    """Return a single text as the string it is: some servers take nothing else."""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _text(text: str) -> Fields:
    return {"type": "text", "text": text}


def _joined(texts: str | list[TextBlock]) -> str:
    return texts if isinstance(texts, str) else "\n\n".join(block.text for block in texts)
