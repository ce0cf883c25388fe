"""What came of an experiment: its sides' figures, how they differ, and what that comes to."""

from collections import defaultdict
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from django.db import Error
from django.db.models import Count, Q, Sum

from agents.models import Mode
from llm.experiments import evidence
from llm.experiments.evidence import Conclusion, Difference, Metric, Sample
from llm.models import Experiment, Feedback, Look
from metering.store import StoreUnavailable, get_store

LATE_RECORDS: Final = timedelta(days=1)
SHOWN_DIGITS: Final = Decimal("0.000001")  # of USD a request


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a side came to. ``cost`` is USD a request (for who is on a plan: of its list value), ``seconds`` what an
    answer took, ``success`` and ``feedback`` shares of 0 to 1; None where nothing is known."""

    arm: UUID
    sessions: int = 0
    requests: int = 0
    cost: float | None = None
    seconds: float | None = None
    success: float | None = None
    feedback: float | None = None
    thoughts: int = 0


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment at a moment. ``differences``: by metric, each further side compared with the first.

    ``needed`` sessions, all sides' together, show a difference worth finding; None while that can't be told.
    """

    at: datetime
    sides: list[Figures]
    differences: dict[Metric, list[Difference]]
    conclusion: Conclusion
    odd_shares: bool
    needed: int | None

    @property
    def sessions(self) -> int:
        """How many sessions there were, all sides' together."""
        return sum(side.sessions for side in self.sides)


class _Side:
    """An arm's sums while they are made."""

    def __init__(self) -> None:
        self.sessions = 0
        self.requests = 0
        self.samples: dict[Metric, Sample] = defaultdict(Sample)

    def add(self, metric: Metric, *, count: int, total: float) -> None:
        """Take a session in, if it says anything about the metric."""
        if count:
            self.samples[metric].add(count=count, total=total)

    def mean(self, metric: Metric) -> float | None:
        """Return what a request comes to."""
        sample = self.samples[metric]
        return sample.mean if sample.count else None


def results(experiment: Experiment, *, at: datetime) -> Results:
    """Return what has come of an experiment until now.

    Raises:
        StoreUnavailable: when the meter's database is away.
    """
    arms = list(experiment.arms.all())
    sides = _sides(experiment, [str(arm.pk) for arm in arms])
    compared = {metric: _compared(experiment, metric, sides) for metric in Metric}
    goal = Metric(experiment.goal)
    sessions = [side.sessions for side in sides]
    return Results(
        at=at,
        sides=[_figures(arm.pk, side) for arm, side in zip(arms, sides, strict=True)],
        differences=compared,
        conclusion=evidence.conclude(compared[goal]),
        odd_shares=evidence.odd_shares(sessions, [arm.weight for arm in arms]),
        needed=_needed(goal, sides),
    )


def look(experiment: Experiment, *, at: datetime) -> Results:
    """Return what has come of an experiment until now, and keep it as what was seen that day."""
    seen = results(experiment, at=at)
    Look.objects.update_or_create(
        experiment=experiment, day=at.date(), defaults={"results": msgspec.to_builtins(seen, str_keys=True)}
    )
    return seen


def look_if_possible(experiment: Experiment, *, at: datetime) -> None:
    """Keep what has come of an experiment; where the meter is away now, the hourly job does it."""
    with suppress(StoreUnavailable, Error):
        look(experiment, at=at)


def look_at_all(*, at: datetime) -> None:
    """Keep what has come of every experiment that runs or has just ended: late records count too."""
    wanted = Q(ended_at=None) | Q(ended_at__gt=at - LATE_RECORDS)
    for experiment in Experiment.objects.filter(wanted).prefetch_related("arms"):
        look_if_possible(experiment, at=at)


def latest(experiment: Experiment, *, at: datetime) -> Results:
    """Return an experiment's results: of one that is over, what was seen at its end, while its records may be gone.

    Raises:
        StoreUnavailable: when the meter's database is away.
    """
    last = experiment.looks.last() if experiment.over else None
    return read(last) if last else results(experiment, at=at)


def read(row: Look) -> Results:
    """Return what was seen on a day."""
    return msgspec.convert(row.results, Results, str_keys=True)


def _sides(experiment: Experiment, arms: list[str]) -> list[_Side]:
    sides = {arm: _Side() for arm in arms}
    managed = experiment.mode == Mode.MANAGED
    for each in get_store().sessions(arms=arms):
        side = sides[each.arm]
        side.sessions += 1
        side.requests += each.requests
        # What a plan's requests cost us isn't its owner's concern: what they take of the plan is.
        count, cost = (each.requests, each.price_total) if managed else (each.priced, each.cost_total)
        side.add(Metric.COST, count=count, total=float(cost))
        side.add(Metric.SPEED, count=each.answered, total=each.latency_ms / 1_000)
        side.add(Metric.SUCCESS, count=each.ended, total=each.answered)
    thoughts = Feedback.objects.filter(arm__in=arms, arm__gt="").order_by().values("arm", "session")
    for row in thoughts.annotate(number=Count("request_id"), sum=Sum("score")).iterator(chunk_size=10_000):
        sides[row["arm"]].add(Metric.FEEDBACK, count=row["number"], total=row["sum"])
    return [sides[arm] for arm in arms]


def _compared(experiment: Experiment, metric: Metric, sides: list[_Side]) -> list[Difference]:
    first, *others = (side.samples[metric] for side in sides)
    misled = evidence.tolerance(arms=len(sides), goal=metric == experiment.goal)
    return [evidence.compare(metric, first, other, misled=misled) for other in others]


def _needed(goal: Metric, sides: list[_Side]) -> int | None:
    first, *others = (side.samples[goal] for side in sides)
    misled = evidence.tolerance(arms=len(sides), goal=True)
    found = [evidence.needed(first, other, misled=misled, metric=goal) for other in others]
    known = [each for each in found if each]
    # Each comparison is told for two sides; with more of them, the same number a side.
    return max(known) * len(sides) // 2 if known else None


def _figures(arm: UUID, side: _Side) -> Figures:
    return Figures(
        arm=arm,
        sessions=side.sessions,
        requests=side.requests,
        cost=side.mean(Metric.COST),
        seconds=side.mean(Metric.SPEED),
        success=side.mean(Metric.SUCCESS),
        feedback=side.mean(Metric.FEEDBACK),
        thoughts=round(side.samples[Metric.FEEDBACK].count),
    )


def usd(amount: float | None) -> Decimal | None:
    """Return an average as money is shown: exact figures are the meter's."""
    return None if amount is None else Decimal(amount).quantize(SHOWN_DIGITS)
