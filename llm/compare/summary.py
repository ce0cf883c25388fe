"""What a comparison comes to: wins, medians and costs of each column. Plain arithmetic."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median
from typing import Final, Protocol, TypeVar

UP: Final = 1
DOWN: Final = -1
OK: Final = "ok"
ASKED: Final = "asked"
FEWEST: Final = 2  # of which one can be the best
NOTABLY: Final = Decimal("1.1")  # times as long, or as dear


class Answer(Protocol):
    """What is known of one column's answer to one prompt."""

    prompt: int
    column: int
    status: str
    first_word_ms: int | None
    took_ms: int | None
    tokens_input: int
    tokens_output: int
    cost: Decimal | None
    price_version: str
    thumb: int


AnyAnswer = TypeVar("AnyAnswer", bound=Answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What one column did over all prompts. Medians (ms) are of its answers, None without any; ``cost`` is USD, of
    those whose cost is known, and None where it is known of none; ``unpriced`` counts the others."""

    column: int
    asked: int
    answered: int
    wins: int
    up: int
    down: int
    first_word_ms: int | None
    took_ms: int | None
    tokens: int
    cost: Decimal | None
    unpriced: int
    prices: frozenset[str]
    fastest: bool = False
    cheapest: bool = False

    @property
    def per_thousand(self) -> Decimal | None:
        """What a thousand such answers would cost, in USD."""
        return self.cost * 1000 / self.answered if self.cost and self.answered and not self.unpriced else None


def summary(answers: Sequence[Answer], *, columns: int) -> list[Sum]:
    """Return what each column did, in their order, the fastest and the cheapest marked where there is one."""
    winners = [winner for winner in map(winner_of, by_prompt(answers).values()) if winner is not None]
    sums = [
        _sum(column, [each for each in answers if each.column == column], wins=winners.count(column))
        for column in range(columns)
    ]
    fastest = _least({each.column: each.took_ms for each in sums if _comparable(each, sums)})
    cheapest = _least({each.column: each.cost for each in sums if _comparable(each, sums) and not each.unpriced})
    return [replace(each, fastest=each.column == fastest, cheapest=each.column == cheapest) for each in sums]


def winner_of(answers: Sequence[Answer]) -> int | None:
    """Return the column that won a prompt: the only one with a thumb up. None where there is none, or several."""
    up = [each.column for each in answers if each.thumb == UP]
    return up[0] if len(up) == 1 else None


def voted(answers: Sequence[Answer]) -> bool:
    """Tell whether a prompt has been voted on: one of its answers was found good, or all of them bad."""
    if any(each.status == ASKED for each in answers):
        return False
    thumbs = [each.thumb for each in answers if each.status == OK]
    return UP in thumbs or not any(thumb == 0 for thumb in thumbs)


def undecided(answers: Sequence[Answer]) -> int:
    """Return how many prompts still wait for a vote."""
    return sum(not voted(each) for each in by_prompt(answers).values())


def by_prompt(answers: Iterable[AnyAnswer]) -> dict[int, list[AnyAnswer]]:
    """Return the answers to each prompt, by its number."""
    found: dict[int, list[AnyAnswer]] = {}
    for each in answers:
        found.setdefault(each.prompt, []).append(each)
    return found


def _sum(column: int, answers: Sequence[Answer], *, wins: int) -> Sum:
    good = [each for each in answers if each.status == OK]
    # What was stopped or failed may have cost something as well.
    costs = [each.cost for each in answers if each.cost is not None]
    return Sum(
        column=column,
        asked=len(answers),
        answered=len(good),
        wins=wins,
        up=sum(each.thumb == UP for each in answers),
        down=sum(each.thumb == DOWN for each in answers),
        first_word_ms=_median(each.first_word_ms for each in good),
        took_ms=_median(each.took_ms for each in good),
        tokens=sum(each.tokens_input + each.tokens_output for each in answers),
        cost=sum(costs, Decimal()) if costs else None,
        unpriced=sum(each.cost is None for each in good),
        prices=frozenset(each.price_version for each in good if each.price_version),
    )


def _median(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return round(median(known)) if known else None


def _comparable(each: Sum, sums: Sequence[Sum]) -> bool:
    """Whoever left prompts unanswered has no claim to be the fastest or cheapest."""
    return each.answered > 0 and each.answered == max(other.answered for other in sums)


def _least(values: Mapping[int, int | Decimal | None]) -> int | None:
    """Return the column with the least, where that is less than every other's by a tenth: all else is chance."""
    known = {column: value for column, value in values.items() if value is not None}
    ranked = sorted(known, key=lambda column: known[column])
    if len(ranked) < FEWEST or not known[ranked[1]] or known[ranked[0]] * NOTABLY > known[ranked[1]]:
        return None
    return ranked[0]
