"""A month's close report as sheets: the way from records to cash, and everything that makes a difference up."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

from billing.agreeing import CloseReport, Difference, Step
from billing.agreeing.steps import USD, Place
from billing.documents.sheets import Sheet

WAY: Final = ("from", "to", "what", "count", "tokens", "usd", "to_look_at")
ITEMS: Final = ("from", "to", "what", "of", "count", "tokens", "usd", "to_look_at", "where")


def sheets(report: CloseReport, *, address: Callable[[Place], str]) -> tuple[Sheet, Sheet]:
    """Return the report as sheets; ``address`` says where a place is in the admin."""
    way = Sheet(name="Close", header=WAY, rows=_way(report))
    return way, Sheet(name="Differences", header=ITEMS, rows=_items(report, address))


def _way(report: CloseReport) -> Iterator[list[Any]]:
    for step in report.steps:
        names = [step.before.name, step.after.name]
        yield [*names, step.before.name, step.before.count, *_amount(step, step.before.amount), ""]
        for each in step.differences:
            yield [*names, each.name, each.count, *_amount(step, each.amount), _flag(each)]
        if step.unexplained:
            yield [*names, "?", "", *_amount(step, step.unexplained), "yes"]
        yield [*names, step.after.name, step.after.count, *_amount(step, step.after.amount), ""]


def _items(report: CloseReport, address: Callable[[Place], str]) -> Iterator[list[Any]]:
    for step in report.steps:
        for each in step.differences:
            said = [step.before.name, step.after.name, each.name]
            for item in each.items:
                amount = _amount(step, item.amount)
                yield [*said, item.name, item.count, *amount, _flag(each), address(item.place)]


def _amount(step: Step, amount: Decimal) -> list[Any]:
    return ["", amount] if step.unit == USD else [int(amount), ""]


def _flag(difference: Difference) -> str:
    return "yes" if difference.wrong else ""
