"""An experiment's figures as people read them."""

from collections.abc import Sequence
from typing import Any, Final

from django import template
from django.utils.formats import number_format

from llm.experiments.words import percent

register = template.Library()

ALIKE: Final = 0.05  # of a percent


@register.filter
def signed(change: float) -> str:
    """Show a difference with its sign: −12%."""
    number = round(100 * change)
    return f"{'−' if number < 0 else '+'}{percent(str(abs(number)))}" if number else percent("0")


@register.filter
def share(value: float | None) -> str:
    """Show a share in percent, one that isn't known as a dash. What isn't quite all isn't shown as all."""
    if value is None:
        return "–"
    whole = round(100 * value)
    exact = abs(100 * value - whole) < ALIKE
    return percent(str(whole) if exact else number_format(100 * value, 1))


@register.filter
def hundredths(value: int) -> str:
    """Show a whole number of percent."""
    return percent(str(value))


@register.filter
def at(values: Sequence[Any], position: int) -> Any:
    """Return what is at a position, from 0."""
    return values[position]
