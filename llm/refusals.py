"""What a provider's refusal says about the key it was shown. Statuses aren't enough: providers disagree on them.

Only fields that a provider fills itself are read, never the error's prose at large: it may quote the request, and a
prompt that speaks of credit is no reason to tell anybody that theirs is used up.
"""

from typing import Final

import msgspec

from agents.trouble import Trouble

LARGEST: Final = 64 * 1024  # bytes; no error that a provider means is longer

# OpenAI's codes and their like, in `code` or `type`: https://platform.openai.com/docs/guides/error-codes
NO_CREDIT: Final = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance_error"}
)
# Anthropic says so with a 400: https://docs.anthropic.com/en/api/errors
ANTHROPICS_NO_CREDIT: Final = "Your credit balance is too low"
# OpenAI answers 401, too, to a good key that was made for other things: what the key may do, not whether it's valid.
NOT_FOR_THIS: Final = "You have insufficient permissions for this operation"

# Who is limited, or not let do one thing, is so for a moment or for one request. In a row it's more than that.
PASSING: Final = frozenset({Trouble.RATE_LIMITED, Trouble.FORBIDDEN})


class _Error(msgspec.Struct):
    message: object = None
    type: object = None
    code: object = None


class _Base(msgspec.Struct):
    status_code: int = 0


class _Body(msgspec.Struct):
    """Where providers put their errors; MiniMax also in ``base_resp``."""

    error: _Error | str | None = None
    base_resp: _Base | None = None


_read: Final = msgspec.json.Decoder(_Body)

_BY_STATUS: Final = {
    401: Trouble.WRONG_KEY,
    402: Trouble.NO_CREDIT,
    403: Trouble.FORBIDDEN,
    429: Trouble.RATE_LIMITED,
}
# MiniMax's own codes, by which it may refuse with any status.
_MINIMAX: Final = {
    1004: Trouble.WRONG_KEY,
    2049: Trouble.WRONG_KEY,
    1008: Trouble.NO_CREDIT,
    1002: Trouble.RATE_LIMITED,
}


def trouble_of(*, provider: str, status: int | None, body: bytes = b"") -> Trouble | None:
    """Return what is wrong with a key that was answered with ``status``; None where that says nothing against it.

    Without a ``body``, where none was read, the status has to do.
    """
    error, own_code = _error(body)
    message = error.message if isinstance(error.message, str) else ""
    if provider == "minimax" and own_code in _MINIMAX:
        return _MINIMAX[own_code]
    if status == 400:  # noqa: PLR2004
        empty = provider == "anthropic" and message.startswith(ANTHROPICS_NO_CREDIT)
        return Trouble.NO_CREDIT if empty else None
    if status in {402, 429, 500} and any(
        isinstance(each, str) and each in NO_CREDIT for each in (error.code, error.type)
    ):
        return Trouble.NO_CREDIT
    if status == 401 and message.startswith(NOT_FOR_THIS):  # noqa: PLR2004
        return Trouble.FORBIDDEN
    return _BY_STATUS.get(status or 0)


def _error(body: bytes) -> tuple[_Error, int]:
    """Return the error in a body, and MiniMax's own code, 0 where it has none."""
    if not body or len(body) > LARGEST:
        return _Error(), 0
    try:
        read = _read.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Error(), 0
    error = read.error if isinstance(read.error, _Error) else _Error()
    return error, read.base_resp.status_code if read.base_resp else 0
