"""One prompt of a comparison, put to all its columns: who is asked, and what is kept of what they say."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import translation

from agents.catalogue import providers
from llm import running
from llm.compare import services, showing
from llm.compare.asking import Answered, Question, Round, Words
from llm.compare.columns import Column
from llm.compare.words import GONE, NO_TRIES_LEFT, said
from llm.models import ComparedAnswer, Comparison
from llm.snapshot import snapshot_of


class NotRunning(Exception):
    """This process has no gateway."""


@dataclass(slots=True, kw_only=True)
class Asking:
    """A prompt that goes out: the questions for those columns that can be asked, and the answers for the others."""

    comparison: Comparison
    number: int
    prompt: str
    questions: list[Question]
    refused: list[Answered]
    # The page's: what is said later is said in another thread, which may be speaking another.
    language: str

    @classmethod
    def of(cls, comparison: Comparison, *, number: int, prompt: str, at: datetime) -> Self:
        """Claim a prompt, so that it goes out this once, and say who is asked.

        Raises:
            services.AskedAlready: when it has gone out before.
        """
        services.claim(comparison=comparison, prompt=number)
        agent = comparison.agent
        here, own = snapshot_of(agent, at=at), agent.tier_at(at)
        questions, refused = [], []
        for place, column in enumerate(Column.kept(comparison.columns)):
            snapshot = column.answering(here, agent)
            if snapshot is None:
                refused.append(Answered(column=place, code=GONE))
            elif services.needs_try(column, own=own) and not services.take_try(agent, at=at):
                refused.append(Answered(column=place, code=NO_TRIES_LEFT))
            else:
                questions.append(Question(column=place, agent=snapshot, prompt=prompt))
        return cls(
            comparison=comparison,
            number=number,
            prompt=prompt,
            questions=questions,
            refused=refused,
            language=translation.get_language() or settings.LANGUAGE_CODE,
        )

    def round(self) -> Round:
        """Return the round that asks, in the gateway's own event loop.

        Raises:
            NotRunning: in a process without a gateway.
        """
        answering = running.answering()
        if answering is None:
            raise NotRunning
        return Round(self.questions, gateway=answering.gateway, witness=answering.witness)

    def words(self, answered: Answered) -> str:
        """Return what to say of an answer that isn't there; without a name that is hidden."""
        if answered.ok:
            return ""
        question = next((each for each in self.questions if each.column == answered.column), None)
        target = question.agent.target if question else None
        unnamed = target is None or self.comparison.unnamed
        with translation.override(self.language):
            return said(answered, managed=unnamed, provider=providers()[target.provider].name if target else "")

    def settle(self, answered: Answered) -> ComparedAnswer:
        """Keep what became of an answer."""
        return services.settle(
            comparison=self.comparison, prompt=self.number, answered=answered, words=self.words(answered)
        )


async def whole(asking: Asking) -> showing.Round:
    """Ask, wait until every column has answered, and return the round."""
    ended = list(asking.refused)
    ended += [event async for event in asking.round().events() if not isinstance(event, Words)]
    rows = [await sync_to_async(asking.settle)(each) for each in ended]
    return showing.after(
        asking.comparison,
        asking.number,
        rows,
        prompt=asking.prompt,
        said={each.column: each.text for each in ended},
        words={each.column: asking.words(each) for each in ended},
    )
