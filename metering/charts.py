"""Where the bars of a chart go. Plain arithmetic; ``templates/metering/_chart.html`` draws them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HEIGHT: Final = 200
STEP: Final = 20  # from one bar to the next
WIDTH: Final = 14  # of a bar
LEAST: Final = 2  # height of a bar that is there at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar of two parts, one on the other; ``y`` counts from the top."""

    x: int
    lower_y: int
    lower: int
    upper_y: int
    upper: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Bars side by side under ``top``, the value that the chart's height stands for."""

    bars: Sequence[Bar]
    top: int
    width: int
    height: int = HEIGHT


def chart(pairs: Sequence[tuple[int, int]]) -> Chart:
    """Return the chart of some pairs of values: the lower part of a bar and the upper one."""
    top = round_up(max((lower + upper for lower, upper in pairs), default=0))
    bars = [_bar(number, lower, upper, top) for number, (lower, upper) in enumerate(pairs)]
    return Chart(bars=bars, top=top, width=STEP * len(pairs))


def round_up(value: int) -> int:
    """Return the next number that is easily read: 1, 2 or 5 and noughts."""
    unit = 1
    while True:
        for digit in (1, 2, 5):
            if value <= digit * unit:
                return digit * unit
        unit *= 10


def _bar(number: int, lower: int, upper: int, top: int) -> Bar:
    whole = lower + upper
    height = max(HEIGHT * whole // top, LEAST) if whole else 0
    upper_height = height * upper // whole if whole else 0
    return Bar(
        x=number * STEP + (STEP - WIDTH) // 2,
        lower_y=HEIGHT - height + upper_height,
        lower=height - upper_height,
        upper_y=HEIGHT - height,
        upper=upper_height,
    )
