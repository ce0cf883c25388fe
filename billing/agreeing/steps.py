"""What a close report is made of: steps from one figure to the next, and by name whatever lies between the two."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

TOKENS: Final = "tokens"
USD: Final = "USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something can be seen: a list of the admin's (``billing_invoice``), and what narrows it down."""

    page: str
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One of the things that make a difference up: how many, and tokens or USD, with the sign that it adds with."""

    name: str
    amount: Decimal
    place: Place
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What lies between two figures, by its cause. ``wrong``: somebody has to look at it."""

    name: str
    items: tuple[Item, ...]
    wrong: bool = False

    @property
    def count(self) -> int:
        """How many records, lines or invoices it is."""
        return sum(item.count for item in self.items)

    @property
    def amount(self) -> Decimal:
        """What it adds, in tokens or USD."""
        return sum((item.amount for item in self.items), Decimal())


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What is counted in one place: how many, and tokens or USD."""

    name: str
    count: int
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From one figure to the next, in tokens or USD."""

    unit: str
    before: Figure
    after: Figure
    differences: tuple[Difference, ...]

    @property
    def unexplained(self) -> Decimal:
        """What no difference accounts for."""
        named = sum((each.amount for each in self.differences), Decimal())
        return self.after.amount - self.before.amount - named

    @property
    def agrees(self) -> bool:
        """Whether everything between the two has a name, and nothing is wrong."""
        return not self.unexplained and not any(each.wrong for each in self.differences)


def found(*differences: Difference) -> tuple[Difference, ...]:
    """Return those that there are any of."""
    return tuple(each for each in differences if each.items)


def difference(name: str, items: Iterable[Item], *, wrong: bool = False) -> Difference:
    """Return a difference of some items."""
    return Difference(name=name, items=tuple(items), wrong=wrong)
