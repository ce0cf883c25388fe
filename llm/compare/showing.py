"""A comparison as its page shows it: rounds of cards, in their places, with names or without."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llm.compare import services, summary
from llm.compare.columns import Column
from llm.compare.summary import Sum
from llm.models import LETTERS, ComparedAnswer, Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One column's answer to one prompt, in its place. ``column`` is None while its name is hidden."""

    place: int
    letter: str
    column: Column | None
    answer: ComparedAnswer | None = None
    text: str = ""
    words: str = ""

    @property
    def name(self) -> str:
        """What it is called for now."""
        return self.column.name if self.column else self.letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One prompt and its answers; ``number`` counts from 0."""

    number: int
    prompt: str
    cards: Sequence[Card]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One column of the summary. ``provable``: an experiment could divide traffic with it, as it isn't a plan that is
    dearer than the agent's own."""

    column: Column
    sum: Sum
    provable: bool


def order(comparison: Comparison, prompt: int) -> list[int]:
    """Return the columns of a prompt in the order of their places: an order of its own in a blind comparison."""
    columns = list(range(len(comparison.columns)))
    if comparison.blind:
        random.Random(f"{comparison.pk}:{prompt}").shuffle(columns)  # noqa: S311 - nothing hangs on guessing it
    return columns


def before(comparison: Comparison, number: int, prompt: str) -> Round:
    """Return a round whose answers are still to come."""
    columns = Column.kept(comparison.columns)
    cards = [
        Card(place=place, letter=LETTERS[place], column=None if comparison.unnamed else columns[column])
        for place, column in enumerate(order(comparison, number))
    ]
    return Round(number=number, prompt=prompt, cards=cards)


def after(
    comparison: Comparison, number: int, answers: Sequence[ComparedAnswer], *, prompt: str = "", **texts: Any
) -> Round:
    """Return a round with all its answers. ``texts``: ``said`` and ``words`` by column, of what isn't kept."""
    hidden = services.hidden(comparison, answers)
    columns, by_column = Column.kept(comparison.columns), {each.column: each for each in answers}
    cards = []
    for place, column in enumerate(order(comparison, number)):
        answer = by_column.get(column)
        kept = answer.text if answer else ""
        failed = answer is not None and answer.status == services.Status.FAILED
        cards.append(
            Card(
                place=place,
                letter=LETTERS[place],
                column=None if hidden else columns[column],
                answer=answer,
                text=texts.get("said", {}).get(column, "" if failed else kept),
                words=texts.get("words", {}).get(column, kept if failed else ""),
            )
        )
    return Round(number=number, prompt=prompt, cards=cards)


def card(comparison: Comparison, answer: ComparedAnswer) -> Card:
    """Return one answer of a round whose others are still to come."""
    place = order(comparison, answer.prompt).index(answer.column)
    column = None if comparison.unnamed else Column.kept(comparison.columns)[answer.column]
    return Card(place=place, letter=LETTERS[place], column=column, answer=answer)


def rounds(comparison: Comparison, answers: Sequence[ComparedAnswer]) -> list[Round]:
    """Return all rounds, the first prompt first; the prompts are known of a kept run."""
    prompts = dict(enumerate(comparison.prompts))
    return [
        after(comparison, number, of_prompt, prompt=prompts.get(number, ""))
        for number, of_prompt in sorted(summary.by_prompt(answers).items())
    ]


def voted(comparison: Comparison, number: int) -> dict[str, Any]:
    """Return what a prompt's votes, or its end, change on the page: its round, and the summary."""
    answers = list(comparison.answers.all())
    round_ = after(comparison, number, [each for each in answers if each.prompt == number])
    return {"rounds": [round_], **summed(comparison, answers)}


def summed(comparison: Comparison, answers: Sequence[ComparedAnswer]) -> dict[str, Any]:
    """Return what a summary shows. ``lines`` is empty while the names are hidden of what is still to be voted on."""
    waiting = 0
    if comparison.unnamed:
        waiting = summary.undecided(answers) if answers else comparison.count
    columns = Column.kept(comparison.columns)
    sums = summary.summary(answers, columns=len(columns))
    managed = any(column.tier for column in columns)
    own = comparison.agent.tier if managed else None
    lines = [
        Line(column=column, sum=each, provable=not services.needs_try(column, own=own))
        for column, each in zip(columns, sums, strict=True)
    ]
    provable = [line for line in lines if line.provable]
    return {
        "comparison": comparison,
        "asked": len(answers),
        "waiting": waiting,
        "lines": [] if waiting else lines,
        "prices": sorted(set().union(*(each.prices for each in sums))),
        "priced_on": sorted({version.rpartition("@")[2] for each in sums for version in each.prices}),
        "managed": managed,
        "provable": len(provable),
        "best": [line.column.arm for line in sorted(provable, key=lambda line: -line.sum.wins)[:2]],
    }
