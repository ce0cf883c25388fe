"""How fast an agent may go: requests and tokens a minute. Plain arithmetic; 0 stands for no limit."""

import tomllib
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

BYOKEY: Final = "byokey"
NO_LIMIT: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Requests and tokens (input plus output) a minute; 0 for no limit."""

    requests: int
    tokens: int


def usual_pace(tier: str | None, *, workspace_age: timedelta) -> Pace:
    """Return what an agent on ``tier`` (None: its owner's own key) may use, of a workspace that old.

    Raises:
        KeyError: when there is no such tier.
    """
    usual, new = _table()["per_minute"][tier or BYOKEY], _table()["new_workspaces"]
    careful = tier is not None and workspace_age < timedelta(days=new["days"])
    share = Decimal(new["share"]) if careful else Decimal(1)
    return Pace(requests=int(usual["requests"] * share), tokens=int(usual["tokens"] * share))


def in_force(*, allowed: int, own: int | None) -> int:
    """Return the limit that holds: what we allow (0: no limit), or less where its owner wants less (None: doesn't)."""
    if own is None:
        return allowed
    return own if allowed == NO_LIMIT else min(allowed, own)


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("pace.toml").read_text())
