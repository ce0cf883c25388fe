"""What is left of an agent's minute, as each dialect's SDKs read it. Plain arithmetic.

Sources: OpenAI's "Rate limits" guide and Anthropic's "Rate limits" page, each under "response headers".
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from llm.limits import MINUTE, Allowed, Ask

Headers = list[tuple[bytes, bytes]]

# A provider's own, which on our keys are about our account and nobody else's business.
PREFIXES: Final = (b"x-ratelimit-", b"anthropic-ratelimit-")


def rate_headers(ask: Ask, allowed: Allowed, *, anthropic: bool, now: datetime) -> Headers:
    """Return the headers for what ``ask`` was let in with, or refused; nothing for what isn't limited."""
    speak = _anthropics if anthropic else _openais
    headers: Headers = []
    for name, limit, left in (
        ("requests", ask.requests_per_minute, allowed.requests_left),
        ("tokens", ask.tokens_per_minute, allowed.tokens_left),
    ):
        if limit:
            left = min(max(left, 0), limit)  # noqa: PLW2901
            # A bucket refills steadily: after this it is full.
            seconds = (limit - left) * MINUTE / limit
            headers += [(key.encode(), value.encode()) for key, value in speak(name, limit, left, seconds, now)]
    return headers


def _openais(name: str, limit: int, left: int, seconds: float, _now: datetime) -> list[tuple[str, str]]:
    return [
        (f"x-ratelimit-limit-{name}", str(limit)),
        (f"x-ratelimit-remaining-{name}", str(left)),
        (f"x-ratelimit-reset-{name}", _duration(seconds)),
    ]


def _anthropics(name: str, limit: int, left: int, seconds: float, now: datetime) -> list[tuple[str, str]]:
    reset = (now + timedelta(seconds=seconds)).astimezone(UTC)
    return [
        (f"anthropic-ratelimit-{name}-limit", str(limit)),
        (f"anthropic-ratelimit-{name}-remaining", str(left)),
        (f"anthropic-ratelimit-{name}-reset", reset.strftime("%Y-%m-%dT%H:%M:%SZ")),
    ]


def _duration(seconds: float) -> str:
    """Return a duration as OpenAI writes it: ``850ms``, ``12.5s``, ``1m0s``."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < MINUTE:
        return f"{round(seconds, 1):g}s"
    return f"{int(seconds // MINUTE)}m{round(seconds % MINUTE)}s"
