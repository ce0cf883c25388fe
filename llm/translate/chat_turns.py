"""The messages of a chat completion request as Anthropic's system prompt and turns.

Source: Anthropic's "Messages", "Vision", "PDF support" and "Implement tool use".
"""

import re
from typing import Any, Final

import msgspec

from llm.errors import InvalidRequest
from llm.translate.chat import (
    AssistantMessage,
    AudioPart,
    CacheControl,
    Content,
    FilePart,
    ImagePart,
    Message,
    Part,
    RefusalPart,
    SystemMessage,
    TextPart,
    ThinkingBlock,
    ToolCall,
    ToolMessage,
    UserMessage,
)

Block = dict[str, Any]

_DATA_URL: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,", re.IGNORECASE)
_IMAGE_TYPES: Final = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/png": "image/png",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
_NOT_IN_AN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")


def system_of(messages: list[Message]) -> list[Block]:
    """Return the system and developer prompts, wherever they stand, in their order.

    Anthropic takes them beside the turns, not among them (only its newest models know another place), as its own
    OpenAI-compatible endpoint does too.
    """
    blocks: list[Block] = []
    for at, message in enumerate(messages):
        if isinstance(message, SystemMessage):
            found = _blocks(message.content, at=f"messages[{at}].content", only_text=True)
            blocks += _cached(found, message.cache_control)
    return blocks


def turns_of(messages: list[Message]) -> list[Block]:
    """Return the other messages as turns, each role's successive messages as one turn.

    So the results of parallel calls come together in one user turn, as Anthropic wants them.

    Raises:
        InvalidRequest: for what can't be said to Anthropic, or when nothing is left to say.
    """
    turns: list[Block] = []
    for at, message in enumerate(messages):
        if isinstance(message, SystemMessage):
            continue
        role, blocks = _turn(message, at=f"messages[{at}]")
        blocks = _cached(blocks, message.cache_control)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns:
        raise InvalidRequest("There is no message to answer besides the system prompt.", param="messages")
    return turns


def _turn(message: UserMessage | AssistantMessage | ToolMessage, *, at: str) -> tuple[str, list[Block]]:
    if isinstance(message, UserMessage):
        return "user", _blocks(message.content, at=f"{at}.content")
    if isinstance(message, ToolMessage):
        return "user", [_result(message, at=at)]
    return "assistant", _said(message, at=at)


def _result(message: ToolMessage, *, at: str) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": tool_id(message.tool_call_id)}
    content = _blocks(message.content, at=f"{at}.content")
    if content:
        block["content"] = content
    return block


def _said(message: AssistantMessage, *, at: str) -> list[Block]:
    """Return an assistant's turn: what it thought first, then what it said, then what it called.

    A thinking block without its signature is left out: Anthropic refuses what it can't verify.
    """
    for field in ("function_call", "audio"):
        if getattr(message, field):
            raise InvalidRequest(f"Anthropic can't be sent `{field}` in a message.", param=f"{at}.{field}")
    blocks = [_thought(block) for block in message.thinking_blocks or () if block.proven]
    blocks += _blocks(message.content, at=f"{at}.content", only_text=True)
    if message.refusal:
        blocks += _text(message.refusal)
    calls = message.tool_calls or ()
    return blocks + [_call(call, at=f"{at}.tool_calls[{number}]") for number, call in enumerate(calls)]


def _thought(block: ThinkingBlock) -> Block:
    if block.type == "redacted_thinking":
        return {"type": block.type, "data": block.data}
    return {"type": block.type, "thinking": block.thinking, "signature": block.signature}


def _call(call: ToolCall, *, at: str) -> Block:
    arguments = call.function.arguments.strip() or "{}"
    try:
        msgspec.json.decode(arguments, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        param = f"{at}.function.arguments"
        raise InvalidRequest("The arguments of a tool call must be a JSON object.", param=param) from None
    # The caller's own JSON, so that no number changes on the way.
    given = msgspec.Raw(arguments)
    return {"type": "tool_use", "id": tool_id(call.id), "name": call.function.name, "input": given}


def tool_id(given: str) -> str:
    """Return a tool call's id in the letters Anthropic allows; other models' ids may have more."""
    return _NOT_IN_AN_ID.sub("_", given) or "_"


def _blocks(content: Content, *, at: str, only_text: bool = False) -> list[Block]:
    """Return a message's content as blocks, without empty texts: Anthropic refuses those."""
    if content is None:
        return []
    if isinstance(content, str):
        return _text(content)
    blocks: list[Block] = []
    for number, part in enumerate(content):
        where = f"{at}[{number}]"
        if only_text and not isinstance(part, TextPart | RefusalPart):
            raise InvalidRequest("Only text can stand here.", param=where)
        found = _block(part, at=where)
        blocks += _cached(found, None if isinstance(part, RefusalPart | AudioPart) else part.cache_control)
    return blocks


def _block(part: Part, *, at: str) -> list[Block]:
    if isinstance(part, TextPart):
        return _text(part.text)
    if isinstance(part, RefusalPart):
        return _text(part.refusal)
    if isinstance(part, ImagePart):
        return [{"type": "image", "source": _image(part.url, at=f"{at}.image_url")}]
    if isinstance(part, FilePart):
        return [_document(part, at=f"{at}.file")]
    raise InvalidRequest("Anthropic's models don't listen to sound.", param=at)


def _text(text: str) -> list[Block]:
    return [{"type": "text", "text": text}] if text and not text.isspace() else []


def _cached(blocks: list[Block], mark: CacheControl | None) -> list[Block]:
    """Put the mark on the last block: all before it is cached with it. Thinking can't carry one."""
    if mark and blocks and blocks[-1]["type"] not in ("thinking", "redacted_thinking"):
        blocks[-1]["cache_control"] = msgspec.to_builtins(mark)
    return blocks


def _image(url: str, *, at: str) -> Block:
    if url.startswith(("https://", "http://")):
        return {"type": "url", "url": url}
    media_type, data = _data_url(url, at=at)
    if media_type not in _IMAGE_TYPES:
        raise InvalidRequest("An image must be JPEG, PNG, GIF or WebP.", param=at)
    return {"type": "base64", "media_type": _IMAGE_TYPES[media_type], "data": data}


def _document(part: FilePart, *, at: str) -> Block:
    if part.file.file_data is None:
        raise InvalidRequest("Anthropic can't see files uploaded to OpenAI: send `file_data`.", param=at)
    media_type, data = _data_url(part.file.file_data, at=f"{at}.file_data")
    if media_type != "application/pdf":
        raise InvalidRequest("A file must be a PDF.", param=f"{at}.file_data")
    block: Block = {"type": "document", "source": {"type": "base64", "media_type": media_type, "data": data}}
    if part.file.filename:
        block["title"] = part.file.filename
    return block


def _data_url(url: str, *, at: str) -> tuple[str, str]:
    """Return the media type and the base64 of a ``data:`` URL (RFC 2397)."""
    found = _DATA_URL.match(url)
    if not found or not found.group(3):
        raise InvalidRequest("This must be an https:// address or a base64 data: URL.", param=at)
    return found.group(1).lower(), url[found.end() :]
