"""What can be asked about a provider: its models, and OpenRouter's account of a key."""

from typing import Any, Final

from llm.providers.echo.habits import HABITS

_CREATED: Final = 1_771_200_000
_CREATED_AT: Final = "2026-02-16T00:00:00Z"
_CREDIT: Final = 10.0


def models(provider: str, *, anthropic: bool) -> dict[str, Any]:
    """Return the models of ``provider``, or of all together."""
    offered = HABITS.values() if provider in ("", "echo") else [HABITS[provider]]
    names = list(dict.fromkeys(name for habits in offered for name in habits.models))
    data = [model(name, anthropic=anthropic) for name in names]
    if anthropic:
        return {"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]}
    return {"object": "list", "data": data}


def model(name: str, *, anthropic: bool) -> dict[str, Any]:
    """Return one model."""
    if anthropic:
        return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT}
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "echo"}


def key(secret: str) -> dict[str, Any]:
    """Return what OpenRouter says of a key: a poor one has spent all its credit (USD)."""
    used = _CREDIT if secret.startswith("poor") else 0.0
    account = {"label": "echo", "limit": _CREDIT, "usage": used, "limit_remaining": _CREDIT - used}
    return {"data": {**account, "is_free_tier": False}}
