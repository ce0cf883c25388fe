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
