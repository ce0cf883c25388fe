"""At how many tokens of a month an agent's owner is told something. Plain arithmetic."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from agents.plans import MILLION, Plan

HALF: Final = "50"
MOST: Final = "80"
ALL: Final = "100"
CEILING: Final = "ceiling"
PERCENT: Final = {HALF: 50, MOST: 80, ALL: 100}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """``included`` tokens are the plan's; ``most`` is all that the month allows."""

    included: int
    most: int

    def marks(self) -> list[tuple[str, int]]:
        """Return each threshold and the tokens at which it is reached, the lowest first."""
        shares = [(kind, -(-self.included * share // 100)) for kind, share in PERCENT.items()]
        return [*shares, (CEILING, self.most)]

    def limit(self, kind: str) -> int:
        """Return the tokens that a threshold is measured by."""
        return self.most if kind == CEILING else self.included

    def reached(self, used: int) -> list[str]:
        """Return the thresholds that ``used`` tokens reach, the lowest first."""
        return [kind for kind, tokens in self.marks() if used >= tokens]


def limits(plan: Plan, *, ceiling: Decimal) -> Thresholds:
    """Return a month's thresholds on a plan that may cost up to ``ceiling`` USD beyond its fee."""
    beyond = int(ceiling * MILLION / plan.overage_per_million)
    return Thresholds(included=plan.included_tokens, most=plan.included_tokens + beyond)
