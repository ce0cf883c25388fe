"""What the page of an experiment shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from agents import subscriptions
from agents.plans import Change
from llm.experiments import results
from llm.experiments.charts import Chart, Range, chart
from llm.experiments.evidence import ENOUGH_SESSIONS, SCALES, Difference, Metric, Verdict
from llm.experiments.results import Figures, Results
from llm.experiments.services import LONGEST
from llm.experiments.words import NAMES, Speaker
from llm.models import Arm, Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """An arm with its figures. ``change`` is what adopting it does to the plan; None where nothing."""

    arm: Arm
    figures: Figures
    share: int
    winner: bool
    change: Change | None

    @property
    def cost(self) -> Decimal | None:
        """USD a request."""
        return results.usd(self.figures.cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One metric: what is said of each further side."""

    metric: Metric
    name: str
    goal: bool
    sentences: Sequence[tuple[str, str]]  # tone and text


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day of the chart."""

    day: date
    sessions: int
    difference: Difference
    mark: Range


def shown(experiment: Experiment, seen: Results, *, at: datetime) -> dict[str, Any]:
    """Return the context of the page."""
    arms = list(experiment.arms.all())
    speaker = Speaker(experiment=experiment, arms=arms, results=seen)
    conclusion = seen.conclusion
    sides = [_side(experiment, arm, figures, seen, at=at) for arm, figures in zip(arms, seen.sides, strict=True)]
    drawn, days, of = _chart(experiment, seen, arms)
    return {
        "experiment": experiment,
        "agent": experiment.agent,
        "headline": speaker.headline(),
        "decided": conclusion.decided,
        "winner": None if conclusion.winner is None else sides[conclusion.winner],
        "sides": sides,
        "findings": _findings(experiment, arms, seen, speaker),
        "several": len(arms) > 2,  # noqa: PLR2004 - then a sentence has to say which one it is about
        "seen": seen,
        "odd_shares": seen.odd_shares,
        "obstacle": "" if experiment.over else experiment.obstacle(tier=experiment.agent.tier_at(at)),
        "enough": ENOUGH_SESSIONS,
        "longest": LONGEST.days,
        "progress": min(100, 100 * seen.sessions // seen.needed) if seen.needed else 0,
        "drawn": drawn,
        "days": days,
        "of": of,
    }


def _side(experiment: Experiment, arm: Arm, figures: Figures, seen: Results, *, at: datetime) -> Side:
    agent = experiment.agent
    changes = not experiment.over and arm.tier and agent.tier_at(at) and arm.tier != agent.tier_at(at)
    return Side(
        arm=arm,
        figures=figures,
        share=round(100 * arm.weight / sum(each.weight for each in experiment.arms.all())),
        winner=seen.conclusion.winner == arm.position,
        change=subscriptions.preview_plan(agent=agent, tier=arm.tier, at=at) if changes else None,
    )


def _findings(experiment: Experiment, arms: list[Arm], seen: Results, speaker: Speaker) -> list[Finding]:
    # The goal first.
    metrics = sorted(Metric, key=lambda metric: metric != experiment.goal)
    return [
        Finding(
            metric=metric,
            name=str(NAMES[metric]),
            goal=metric == experiment.goal,
            sentences=[
                (_tone(difference), speaker.sentence(difference, arm))
                for arm, difference in zip(arms[1:], seen.differences[metric], strict=True)
            ],
        )
        for metric in metrics
    ]


def _tone(difference: Difference) -> str:
    return {Verdict.BETTER: "good", Verdict.WORSE: "bad", Verdict.SAME: "same"}.get(difference.found, "open")


def _chart(experiment: Experiment, seen: Results, arms: list[Arm]) -> tuple[Chart | None, list[Day], Arm]:
    """Return what was believed each day of the side that matters most: the winner, or else the second one."""
    position = seen.conclusion.winner or 1
    goal = Metric(experiment.goal)
    looks = [(row.day, results.read(row)) for row in experiment.looks.all()]
    looks = [(day, look) for day, look in looks if day != seen.at.date()] + [(seen.at.date(), seen)]
    told = [(day, look.sessions, look.differences[goal][position - 1]) for day, look in looks]
    told = [each for each in told if each[2].found is not Verdict.NOTHING]
    if not told:
        return None, [], arms[position]
    # Upwards is better: what costs less is drawn above the line.
    turn = -1 if SCALES[goal].amount else 1
    drawn = chart([_ends(difference, turn) for _day, _sessions, difference in told])
    days = [
        Day(day=day, sessions=sessions, difference=difference, mark=mark)
        for (day, sessions, difference), mark in zip(told, drawn.ranges, strict=True)
    ]
    return drawn, days, arms[position]


def _ends(difference: Difference, turn: int) -> tuple[float, float, float]:
    low, high = sorted((turn * difference.low, turn * difference.high))
    return low, turn * difference.change, high
