"""How often experiments mislead, and how often they find what is there: simulated with known truths, seen every day.

``python -m benchmarks.experiments`` simulates 2,000 experiments of each kind. Sessions are as one meets them: most of
one request or a few, some of dozens; what a request costs varies by a session's subject and by itself; some sessions
come back the next day.
"""

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from llm.experiments import evidence
from llm.experiments.evidence import Metric, Sample, Verdict

EXPERIMENTS = 2_000
DAYS = 60
SESSIONS_A_DAY = 60  # of each arm


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is so of the second arm: its cost or time a request relative to the first's, or its share of successes."""

    metric: Metric = Metric.COST
    ratio: float = 1.0
    share: float = 0.97
    other_share: float = 0.97
    days: int = DAYS
    sessions_a_day: int = SESSIONS_A_DAY


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How many of the experiments ended how, the day on which half had, and the stated sample at the end."""

    experiments: int
    wrong: int
    right: int
    same: int
    stated: int
    found_in_stated: int


def simulate(truth: Truth, *, experiments: int = EXPERIMENTS, seed: int = 7) -> Outcome:
    """Look at each experiment at the end of each day, as its owner would, and stop at the first clear answer."""
    random = np.random.default_rng(seed)
    misled = evidence.tolerance(arms=2, goal=True)
    counts = {"better": 0, "worse": 0, "same": 0, "open": 0}
    stated, in_time = [], 0
    for _experiment in range(experiments):
        arms = [_days(random, truth, other=other) for other in (False, True)]
        found, sessions = Verdict.OPEN, 0
        for day in range(truth.days):
            first, other = (_sample(sums[day]) for sums in arms)
            found = evidence.compare(truth.metric, first, other, misled=misled).found
            sessions = first.sessions + other.sessions
            if found is not Verdict.OPEN:
                break
        first, other = (_sample(sums[-1]) for sums in arms)
        stated.append(evidence.needed(first, other, misled=misled, metric=truth.metric) or 0)
        counts[found] += 1
        in_time += found in (Verdict.BETTER, Verdict.WORSE) and sessions <= stated[-1] + 2 * truth.sessions_a_day
    good = "better" if truth.ratio < 1 or truth.other_share > truth.share else "worse"
    none = truth.ratio == 1 and truth.share == truth.other_share
    return Outcome(
        experiments=experiments,
        wrong=counts["better"] + counts["worse"] if none else counts["better" if good == "worse" else "worse"],
        right=0 if none else counts[good],
        same=counts["same"],
        stated=int(np.median(stated)),
        found_in_stated=in_time,
    )


def _days(random: Any, truth: Truth, *, other: bool) -> Any:
    """Return an arm's six sums at the end of each day."""
    arriving = random.poisson(truth.sessions_a_day, truth.days)
    day = np.repeat(np.arange(truth.days), arriving)
    # Most sessions have one to five requests, some have dozens.
    count = 1 + np.minimum(random.negative_binomial(0.8, 0.25, day.size), 60)
    if truth.metric in (Metric.COST, Metric.SPEED):
        ratio = truth.ratio if other else 1.0
        subject = random.lognormal(0, 0.5, day.size)
        # A request's own variation, summed over the session.
        total = 0.01 * ratio * subject * count * random.lognormal(0, 0.6 / np.sqrt(count), day.size)
    else:
        share = truth.other_share if other else truth.share
        total = random.binomial(count, random.beta(share * 20, (1 - share) * 20, day.size))
    back = (random.random(day.size) < 0.2) & (count > 1)
    return _summed(day, count, total, back, days=truth.days)


def _summed(day: Any, count: Any, total: Any, back: Any, *, days: int) -> Any:
    """Add sessions up by the day on which they are seen; those that come back show half on the first and all later."""
    sums = np.zeros((days + 1, 6))
    half = count // 2
    part = total * half / count
    for seen, n, x in (
        (day, np.where(back, half, count), np.where(back, part, total)),
        (day + 1, np.where(back, count, 0), np.where(back, total, 0.0)),
    ):
        for column, values in enumerate((n > 0, n, x, n * n, x * x, n * x)):
            np.add.at(sums[:, column], seen, values)
    # What showed half on the first day is replaced the next.
    n, x = np.where(back, half, 0), np.where(back, part, 0.0)
    for column, values in enumerate((n > 0, n, x, n * n, x * x, n * x)):
        np.subtract.at(sums[:, column], day + 1, values)
    return np.cumsum(sums, axis=0)[:days]


def _sample(sums: Any) -> Sample:
    sessions, count, total, count_squared, total_squared, product = (float(value) for value in sums)
    return Sample(
        sessions=round(sessions),
        count=count,
        total=total,
        count_squared=count_squared,
        total_squared=total_squared,
        product=product,
    )


TRUTHS = {
    "no difference in cost": Truth(),
    "no difference in cost, 400 sessions a day": Truth(sessions_a_day=200),
    "no difference in time": Truth(metric=Metric.SPEED),
    "no difference in success": Truth(metric=Metric.SUCCESS),
    "no difference in feedback": Truth(metric=Metric.FEEDBACK, share=0.8, other_share=0.8),
    "10% cheaper": Truth(ratio=0.9, days=150),
    "20% cheaper": Truth(ratio=0.8),
    "1% cheaper": Truth(ratio=0.99, sessions_a_day=400),
    "success 97% and 92%": Truth(metric=Metric.SUCCESS, other_share=0.92),
    "feedback 80% and 90%": Truth(metric=Metric.FEEDBACK, share=0.8, other_share=0.9),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--experiments", type=int, default=EXPERIMENTS)
    options.add_argument("--seed", type=int, default=7)
    given = options.parse_args()
    for name, truth in TRUTHS.items():
        began = time.perf_counter()
        outcome = simulate(truth, experiments=given.experiments, seed=given.seed)
        of = outcome.experiments
        print(
            f"{name:44} wrong {outcome.wrong / of:6.2%}  right {outcome.right / of:6.1%}  same {outcome.same / of:6.1%}"
            f"  stated sample {outcome.stated:6,} sessions, found in it {outcome.found_in_stated / of:6.1%}"
            f"  ({time.perf_counter() - began:.0f} s)"
        )


if __name__ == "__main__":
    main()
