"""The gateway that runs in this process, where one does, for the pages that look at it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from llm.condition import Condition, Conditions, Overview
from llm.gateway import Gateway
from llm.pool import Arrangement, Pool
from llm.routing import Explained
from llm.witness import Witness


class Answering(NamedTuple):
    """The gateway itself, for who asks something in its event loop, and who sees the records of that."""

    gateway: Gateway
    witness: Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What of the gateway may be looked at from any thread. ``limits_away``: Redis failed, and this process keeps
    limits by itself for now."""

    pool: Pool
    conditions: Conditions
    limits_away: Callable[[], bool]
    answering: Answering | None = None


_here: Running | None = None


def show(running: Running | None) -> None:
    """Let the pages of this process look at its gateway; None once it has stopped."""
    global _here  # noqa: PLW0603
    _here = running


def here() -> Running | None:
    """Return this process's gateway, or None where it has none (a command, a worker)."""
    return _here


def answering() -> Answering | None:
    """Return this process's gateway to ask something in its event loop; None where there is none."""
    return _here.answering if _here else None


def overview() -> Overview:
    """Return how our own keys are doing, as far as this process can tell."""
    return _here.conditions.overview() if _here else Overview(condition=Condition(), processes=0, shared=False)


def explain(*, tier: str, arrangement: Arrangement) -> list[Explained]:
    """Tell where a request of ``tier`` could go at this moment; without a gateway here, if all keys were well."""
    pool = _here.pool if _here else Pool(load=lambda: arrangement)
    return pool.explain(tier=tier, arrangement=arrangement)
