"""The words each dialect has for why an answer ended and what kind of error it was. Each table is written once."""

from typing import Final

# Anthropic's stop_reason → OpenAI's finish_reason.
FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

# OpenAI's finish_reason → Anthropic's stop_reason. Which stop sequence it was, OpenAI doesn't say.
STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}

# Status → Anthropic's error type.
ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_SERVER_ERROR: Final = 500

# Anthropic's error type → OpenAI's error type and code.
ERROR_KINDS: Final[dict[str, tuple[str, str | None]]] = {
    "invalid_request_error": ("invalid_request_error", None),
    "request_too_large": ("invalid_request_error", "request_too_large"),
    "authentication_error": ("invalid_request_error", "invalid_api_key"),
    "billing_error": ("insufficient_quota", "insufficient_quota"),
    "permission_error": ("invalid_request_error", "permission_denied"),
    "not_found_error": ("invalid_request_error", "model_not_found"),
    "rate_limit_error": ("rate_limit_error", "rate_limit_exceeded"),
    "timeout_error": ("server_error", "timeout"),
    "overloaded_error": ("server_error", "overloaded"),
    "api_error": ("server_error", None),
}


def finish_reason(stop_reason: str | None) -> str:
    """Return OpenAI's word for Anthropic's ``stop_reason``; ``stop`` for one that is new."""
    return FINISH_REASONS.get(stop_reason or "", "stop")


def error_kind(error_type: str) -> tuple[str, str | None]:
    """Return OpenAI's error type and code for Anthropic's ``error_type``; the type itself where it is new."""
    return ERROR_KINDS.get(error_type, (error_type, None))


def stop_reason(finish_reason: str | None, *, called: bool) -> str:
    """Return Anthropic's word for OpenAI's ``finish_reason``; ``end_turn`` for one that is new.

    Some servers say ``stop`` where tools were called.
    """
    if called and finish_reason in (None, "stop"):
        return "tool_use"
    return STOP_REASONS.get(finish_reason or "", "end_turn")


def error_type(status: int) -> str:
    """Return Anthropic's error type for a status."""
    return ERROR_TYPES.get(status, "api_error" if status >= _SERVER_ERROR else "invalid_request_error")
