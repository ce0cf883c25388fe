"""What Managed adds to hosting, forecast from five figures. Plain arithmetic.

Source: llm-strategy, "Revenue Impact", whose year 1 and year 2 are :data:`YEARS`.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from agents.plans import CENT

TENTH: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Hosted customers, what each pays for hosting (USD a month), the share of them with agents on Managed (percent),

    and how many agents such a customer has there at what each brings (USD a month).
    """

    customers: int
    hosting: Decimal
    share: Decimal
    agents: Decimal
    per_agent: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A month's revenue in USD; ``growth`` is what Managed adds to hosting, in percent (None without hosting)."""

    hosting: Decimal
    managed_customers: Decimal
    managed: Decimal
    growth: Decimal | None

    @property
    def total(self) -> Decimal:
        """Hosting and Managed together."""
        return self.hosting + self.managed


YEARS: Final = (
    Inputs(customers=80, hosting=Decimal(180), share=Decimal(40), agents=Decimal(3), per_agent=Decimal(8)),
    Inputs(customers=250, hosting=Decimal(200), share=Decimal(50), agents=Decimal(5), per_agent=Decimal(10)),
)


def forecast(inputs: Inputs) -> Forecast:
    """Return what a month brings."""
    hosting = inputs.customers * inputs.hosting
    on_managed = inputs.customers * inputs.share / 100
    managed = (on_managed * inputs.agents * inputs.per_agent).quantize(CENT, ROUND_HALF_UP)
    return Forecast(
        hosting=hosting.quantize(CENT),
        managed_customers=on_managed,
        managed=managed,
        growth=share(managed, of=hosting),
    )


def share(part: Decimal, *, of: Decimal) -> Decimal | None:
    """Return a part in percent of the whole, to a tenth; None of nothing."""
    return (100 * part / of).quantize(TENTH, ROUND_HALF_UP) if of else None
