"""Begins comparisons, lets each question out once, keeps what became of it, and takes votes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import F

from agents.models import Agent, Workspace
from llm.compare import summary
from llm.compare.asking import STOPPED, Answered
from llm.compare.columns import Column
from llm.models import ComparedAnswer, Comparison, PlanTries, PromptSet, dearer
from metering.periods import Month

# Whoever is on a plan may see what those above it answer: so often a month and agent, for as long as nobody pays them.
TRIES_A_MONTH: Final = 30
FORGET_AFTER: Final = timedelta(days=1)
Status: Final = ComparedAnswer.Status


class AskedAlready(Exception):
    """This prompt of this comparison has gone out."""


def begin(
    *, agent: Agent, columns: Sequence[Column], prompts: Sequence[str], blind: bool, keep: bool, at: datetime
) -> Comparison:
    """Open a comparison, and forget the workspace's old ones that nobody kept. Nothing is asked yet."""
    mine = Comparison.objects.filter(workspace=agent.workspace_id)
    mine.filter(kept=False, created_at__lt=at - FORGET_AFTER).delete()
    return Comparison.objects.create(
        workspace=agent.workspace,
        agent=agent,
        columns=[column.to_keep() for column in columns],
        count=len(prompts),
        blind=blind,
        kept=keep,
        prompts=list(prompts) if keep else [],
    )


def save_prompts(*, workspace: Workspace, name: str, prompts: Sequence[str]) -> PromptSet:
    """Save prompts under a name; those that were saved under it before give way."""
    found, _new = PromptSet.objects.update_or_create(
        workspace=workspace, name=name, defaults={"prompts": list(prompts)}
    )
    return found


def claim(*, comparison: Comparison, prompt: int) -> None:
    """Note that a prompt goes out to all columns now.

    Raises:
        AskedAlready: when it has gone out before.
    """
    rows = [
        ComparedAnswer(comparison=comparison, prompt=prompt, column=column) for column in range(len(comparison.columns))
    ]
    try:
        with transaction.atomic():
            ComparedAnswer.objects.bulk_create(rows)
    except IntegrityError:
        raise AskedAlready from None


def tries_left(agent: Agent, *, at: datetime) -> int:
    """Return how many answers of plans above its own the agent may still have this month."""
    row = PlanTries.objects.filter(agent=agent, month=str(Month.of(at))).first()
    return max(TRIES_A_MONTH - row.answers, 0) if row else TRIES_A_MONTH


def take_try(agent: Agent, *, at: datetime) -> bool:
    """Take one of the month's answers of plans above the agent's own; False when none is left."""
    month = str(Month.of(at))
    PlanTries.objects.get_or_create(agent=agent, month=month)
    # One statement: of many who come at once, no more get one than there are.
    mine = PlanTries.objects.filter(agent=agent, month=month, answers__lt=TRIES_A_MONTH)
    return mine.update(answers=F("answers") + 1) == 1


def needs_try(column: Column, *, own: str | None) -> bool:
    """Tell whether a column is a plan above the agent's own."""
    return bool(column.tier and own and dearer(column.tier, than=own))


def settle(*, comparison: Comparison, prompt: int, answered: Answered, words: str) -> ComparedAnswer:
    """Keep what became of an answer; its text (or the ``words`` for what went wrong) only in a run that is kept."""
    row = ComparedAnswer.objects.get(comparison=comparison, prompt=prompt, column=answered.column)
    row.status = Status.OK if answered.ok else Status.STOPPED if answered.code == STOPPED else Status.FAILED
    row.first_word_ms, row.took_ms, row.cost = answered.first_word_ms, answered.took_ms, answered.cost
    if answered.record:
        row.tokens_input, row.tokens_output = answered.record.tokens_input, answered.record.tokens_output
        row.price_version = answered.record.price_version
    if comparison.kept:
        row.text = answered.text if answered.ok else words
    # A vote may have come meanwhile: it isn't ours to write.
    row.save(update_fields=[field.name for field in row._meta.concrete_fields if field.name not in {"id", "thumb"}])
    return row


def vote(*, comparison: Comparison, prompt: int, column: int, thumb: int) -> None:
    """Set an answer's thumb: up (1), down (-1) or none (0). Only what was answered can be voted on."""
    answers = comparison.answers.filter(prompt=prompt, column=column, status=Status.OK)
    answers.update(thumb=thumb)


def show_names(comparison: Comparison) -> None:
    """End a comparison's blindness for good."""
    Comparison.objects.filter(pk=comparison.pk).update(shown=True)
    comparison.shown = True


def hidden(comparison: Comparison, answers: Sequence[ComparedAnswer]) -> bool:
    """Tell whether names are hidden from who looks at these answers to a prompt."""
    return comparison.unnamed and not summary.voted(answers)
