"""Errors as the providers word them: status, body and headers, in either dialect."""

from typing import Any, Final

import msgspec

_OPENAI: Final[dict[int, tuple[str, str | None]]] = {
    400: ("invalid_request_error", "invalid_request"),
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", "overloaded"),
    529: ("server_error", "overloaded"),
}
_ANTHROPIC: Final[dict[int, str]] = {
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


class Refusal(Exception):
    """An answer with an error. ``retry_after`` is in seconds; ``param`` names the field that is wrong."""

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        no_credit: bool = False,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message or f"Echo was told to answer {status}."
        self.no_credit = no_credit
        self.param = param
        self.retry_after = retry_after


def no_credit(provider: str, *, anthropic: bool) -> Refusal:
    """Return what ``provider`` answers when the account is empty: no two do it alike."""
    if anthropic:
        return Refusal(400, "Your credit balance is too low to access the Anthropic API.", no_credit=True)
    if provider == "minimax":
        return Refusal(500, "insufficient balance (1008)", no_credit=True)
    if provider == "openrouter":
        return Refusal(402, "Insufficient credits.", no_credit=True)
    if provider in ("mistral", "groq"):
        return Refusal(402, "Payment required.", no_credit=True)
    return Refusal(429, "You exceeded your current quota, please check your plan and billing.", no_credit=True)


def openai_error(refusal: Refusal, *, provider: str) -> dict[str, Any]:
    """Return the error's body in the OpenAI dialect, as ``provider`` speaks it."""
    status, message = refusal.status, refusal.message
    if provider == "openrouter":
        return {"error": {"code": status, "message": message}}
    if provider == "minimax" and refusal.no_credit:
        return {"type": "error", "error": {"type": "insufficient_balance_error", "message": message}}
    if provider == "mistral":
        kind = "invalid_request_error" if status < _SERVER_ERROR else "service_unavailable"
        return {"object": "error", "message": message, "type": kind, "param": refusal.param, "code": None}
    kind, code = _OPENAI.get(status, ("invalid_request_error" if status < _SERVER_ERROR else "server_error", None))
    if refusal.no_credit:
        kind = code = "insufficient_quota"
    return {"error": {"message": message, "type": kind, "param": refusal.param, "code": code}}


def anthropic_error(refusal: Refusal, *, request_id: str) -> dict[str, Any]:
    """Return the error's body in the Anthropic dialect."""
    default = "invalid_request_error" if refusal.status < _SERVER_ERROR else "api_error"
    kind = _ANTHROPIC.get(refusal.status, default)
    return {"type": "error", "error": {"type": kind, "message": refusal.message}, "request_id": request_id}


def unreadable(error: msgspec.MsgspecError) -> Refusal:
    """Return the refusal of a body that can't be read."""
    return Refusal(400, f"The request can't be read: {error}")
