"""Anthropic's whole answers, errors and lists as OpenAI's.

Source: OpenAI's API reference, "The chat completion object", "Error codes" and "List models".
"""

from datetime import datetime
from typing import Any

from llm.translate.chat_tools import ANSWER_TOOL
from llm.translate.messages import Answer, Block, ErrorObject, Model, Models, StopDetails
from llm.translate.reasons import error_kind, finish_reason
from llm.translate.usage import from_messages, to_chat

Fields = dict[str, Any]


def to_completion(answer: Answer, *, created: int) -> Fields:
    """Return the chat completion for ``answer``. ``created`` is in seconds since 1970, UTC."""
    message = _message(answer)
    choice: Fields = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": ended(answer.stop_reason, called="tool_calls" in message),
    }
    completion: Fields = {
        "id": answer.id,
        "object": "chat.completion",
        "created": created,
        "model": answer.model,
        "choices": [choice],
    }
    if answer.usage:
        completion["usage"] = to_chat(from_messages(answer.usage))
    return completion


def ended(stop_reason: str | None, *, called: bool) -> str:
    """Return the finish reason. An answer in JSON ends as a tool's call to Anthropic, not to the caller."""
    if stop_reason == "tool_use" and not called:
        return "stop"
    return finish_reason(stop_reason)


def refusal(details: StopDetails | None) -> str | None:
    """Return the refusal in words, where the model gave any."""
    return details.explanation if details else None


def thinking_block(block: Block, *, index: int) -> Fields | None:
    """Return a block of thinking as the caller gets it, and may send it back; None for any other block.

    ``index`` lets clients that put streamed pieces together by it keep the blocks apart.
    """
    if block.type == "thinking":
        return {"index": index, "type": block.type, "thinking": block.thinking, "signature": block.signature}
    if block.type == "redacted_thinking":
        return {"index": index, "type": block.type, "data": block.data}
    return None


def texts(answer: Answer) -> list[str]:
    """Return all that the model put out, its thinking and its tools' arguments included."""
    said = [block.text or block.thinking for block in answer.content]
    return said + [bytes(block.input).decode() for block in answer.content if block.type == "tool_use"]


def to_error(error: ErrorObject) -> Fields:
    """Return an error in OpenAI's form, with the provider's own message."""
    kind, code = error_kind(error.type)
    return {"error": {"message": error.message, "type": kind, "param": None, "code": code}}


def to_models(models: Models) -> Fields:
    """Return the list of models in OpenAI's form."""
    return {"object": "list", "data": [_model(model) for model in models.data]}


def _model(model: Model) -> Fields:
    return {"id": model.id, "object": "model", "created": _seconds(model.created_at), "owned_by": "anthropic"}


def _seconds(moment: str) -> int:
    """Return an RFC 3339 moment in seconds since 1970, 0 where there is none."""
    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except ValueError:
        return 0


def _message(answer: Answer) -> Fields:
    calls = [block for block in answer.content if block.type == "tool_use" and block.name != ANSWER_TOOL]
    texts = [_text(block) for block in answer.content if block.type == "text" or block.name == ANSWER_TOOL]
    content = "".join(texts) if texts or not calls else None
    message: Fields = {"role": "assistant", "content": content, "refusal": refusal(answer.stop_details)}
    thoughts = "".join(block.thinking for block in answer.content)
    if thoughts:
        message["reasoning_content"] = thoughts
    blocks = [block for block in answer.content if block.type in ("thinking", "redacted_thinking")]
    if blocks:
        message["thinking_blocks"] = [thinking_block(block, index=index) for index, block in enumerate(blocks)]
    if calls:
        message["tool_calls"] = [_call(block) for block in calls]
    return message


def _text(block: Block) -> str:
    return block.text if block.type == "text" else bytes(block.input).decode()


def _call(block: Block) -> Fields:
    function = {"name": block.name, "arguments": bytes(block.input).decode()}
    return {"id": block.id, "type": "function", "function": function}
