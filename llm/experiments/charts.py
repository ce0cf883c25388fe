"""Where the marks of an experiment's chart go. Plain arithmetic; ``templates/experiments/_chart.html`` draws them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HEIGHT: Final = 160
PADDING: Final = 8
STEP: Final = 24  # from one day to the next
WIDTH: Final = 10  # of a range
FURTHEST: Final = 1.0  # difference that is drawn: all of it
LEAST_DAYS: Final = 14  # that there is room for


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What was believed on a day: from ``y`` on, ``height`` downwards, around ``middle``. ``y`` counts from the top."""

    x: int
    y: int
    height: int
    middle: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Ranges side by side, and at ``zero`` the line of no difference."""

    ranges: Sequence[Range]
    zero: int
    width: int
    height: int = HEIGHT


def chart(days: Sequence[tuple[float, float, float]]) -> Chart:
    """Return the chart of some days' differences: low, middle and high, upwards being more."""
    shown = [0.0, *(_inside(value) for day in days for value in day)]
    top, bottom = max(shown), min(shown)

    def y(value: float) -> int:
        part = (top - _inside(value)) / ((top - bottom) or 1.0)
        return round(PADDING + (HEIGHT - 2 * PADDING) * part)

    ranges = [
        Range(x=number * STEP + (STEP - WIDTH) // 2, y=y(high), height=max(y(low) - y(high), 2), middle=y(middle))
        for number, (low, middle, high) in enumerate(days)
    ]
    return Chart(ranges=ranges, zero=y(0.0), width=STEP * max(len(days), LEAST_DAYS))


def _inside(value: float) -> float:
    """Return a difference as it is drawn: what is off the chart is at its edge."""
    return max(-FURTHEST, min(FURTHEST, value))
