"""What an experiment's figures say, and how sure one may be: plain arithmetic.

Worked out in ``docs/decisions/0024-experiments.md``.

The independent unit is a session: its requests resemble each other, so a thousand requests of ten sessions are ten
observations. An arm's figure is a ratio of sums over its sessions (cost by requests, say), whose variance follows
from how sessions differ (the delta method). Arms are compared with the first one, by the logarithm of the ratio where
a figure is an amount (cost, time) and by the difference where it's a share (success, feedback).

Beforehand a difference is thought to be around nothing, by so much (``Scale.expected``). That one assumption gives
both what is believed after seeing the figures, and an e-value: the Bayes factor against "no difference", whose chance
of *ever* reaching 1/p where there is no difference is at most p (Ville's inequality). So whoever looks every day, and
stops at the first clear answer, is misled no more often than said.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MISLED_AT_MOST: Final = 0.05  # how often one may be named where there is none, however often one looks
GOALS_PART: Final = 0.5  # of that, the goal's; the other figures share the rest
ENOUGH_SESSIONS: Final = 100  # of each arm, before anything is decided
CREDIBLE: Final = 0.95  # of what is believed lies in the range that is told
POWER: Final = 0.8  # how often the stated sample shows a difference that is there
WORTH_FINDING: Final = 0.10  # the difference that the stated sample is for
ODDS_OF_SHARES: Final = 100.0  # against the arms' shares, from which on something is wrong with them


class Metric(StrEnum):
    """What arms are compared by."""

    COST = "cost"
    SPEED = "speed"
    SUCCESS = "success"
    FEEDBACK = "feedback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How a metric is compared. ``amount``: by ratio, less is better; else a share of 0 to 1, by difference.

    ``expected`` is the usual size of a difference (a standard deviation), ``matters`` the least that counts as one.
    """

    amount: bool
    expected: float
    matters: float


SCALES: Final[Mapping[Metric, Scale]] = {
    Metric.COST: Scale(amount=True, expected=0.20, matters=0.05),
    Metric.SPEED: Scale(amount=True, expected=0.20, matters=0.05),
    Metric.SUCCESS: Scale(amount=False, expected=0.05, matters=0.01),
    Metric.FEEDBACK: Scale(amount=False, expected=0.10, matters=0.03),
}


class Verdict(StrEnum):
    """What is decided of an arm, compared with the first."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"  # any difference is too small to matter
    OPEN = "open"
    NOTHING = "nothing"  # there is nothing to compare


@dataclass(slots=True, kw_only=True)
class Sample:
    """Sums over an arm's sessions: of their counts, their totals, and the squares and products of both."""

    sessions: int = 0
    count: float = 0.0
    total: float = 0.0
    count_squared: float = 0.0
    total_squared: float = 0.0
    product: float = 0.0

    def add(self, *, count: float, total: float) -> None:
        """Take a session in: so many requests, which come to so much."""
        self.sessions += 1
        self.count += count
        self.total += total
        self.count_squared += count * count
        self.total_squared += total * total
        self.product += count * total

    @property
    def mean(self) -> float:
        """What a request comes to."""
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        """The variance of :attr:`mean`."""
        if self.sessions < 2:  # noqa: PLR2004
            return math.inf
        mean = self.mean
        residual = self.total_squared - 2 * mean * self.product + mean * mean * self.count_squared
        return max(residual, 0.0) / self.count**2 * self.sessions / (self.sessions - 1)

    def hedged(self) -> "Sample":
        """Return it with one good and one bad session more: after a hundred answers that all went well, the next one
        still may not."""
        return Sample(
            sessions=self.sessions + 2,
            count=self.count + 2,
            total=self.total + 1,
            count_squared=self.count_squared + 2,
            total_squared=self.total_squared + 1,
            product=self.product + 1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An arm compared with the first by one metric, ``change`` being relative for amounts and in shares else.

    ``low`` and ``high`` hold what is believed with 95%, ``sure`` the belief that its direction is right (0 to 1).
    ``found`` is what has been decided.
    """

    metric: Metric
    found: Verdict
    change: float = 0.0
    low: float = 0.0
    high: float = 0.0
    sure: float = 0.5


def compare(metric: Metric, first: Sample, other: Sample, *, misled: float) -> Difference:
    """Return how ``other`` differs from ``first``; ``misled`` is how often it may be wrong to name a difference."""
    scale = SCALES[metric]
    estimate = _estimate(scale, first, other)
    if estimate is None:
        return Difference(metric=metric, found=Verdict.NOTHING)
    value, variance = estimate
    enough = min(first.sessions, other.sessions) >= ENOUGH_SESSIONS
    found = _verdict(scale, value, variance, misled=misled) if enough else Verdict.OPEN
    middle, spread = _believed(scale, value, variance)
    reach = _t_quantile((1 + CREDIBLE) / 2, first, other) * spread
    told = math.expm1 if scale.amount else float
    return Difference(
        metric=metric,
        found=found,
        change=told(middle),
        low=told(middle - reach),
        high=told(middle + reach),
        sure=_t_chance(abs(middle) / spread, first, other),
    )


def radius(variance: float, *, expected: float, misled: float) -> float:
    """Return how far from the estimate the truth may lie, at all looks together.

    It is the e-value turned round: the statistic of the mixture sequential probability ratio test, for a normal
    mixture with that deviation.
    """
    both = variance + expected**2
    return math.sqrt(variance * both / expected**2 * (2 * math.log(1 / misled) + math.log(both / variance)))


def tolerance(*, arms: int, goal: bool) -> float:
    """Return how often one comparison may be wrong, so that all of an experiment's together keep the promise."""
    part = GOALS_PART if goal else (1 - GOALS_PART) / (len(Metric) - 1)
    return MISLED_AT_MOST * part / (arms - 1)


def needed(first: Sample, other: Sample, *, misled: float, metric: Metric = Metric.COST) -> int | None:
    """Return how many sessions, both arms' together, show a difference of :data:`WORTH_FINDING` (shares: of what
    usually is one) four times out of five; None while their spread isn't known."""
    scale = SCALES[metric]
    estimate = _estimate(scale, first, other)
    if estimate is None or min(first.sessions, other.sessions) < 2:  # noqa: PLR2004
        return None
    difference = math.log1p(WORTH_FINDING) if scale.amount else scale.expected
    variance, low, high = 0.0, 0.0, difference**2
    for _step in range(60):
        variance = (low + high) / 2
        reach = radius(variance, expected=scale.expected, misled=misled) + _POWER_Z * math.sqrt(variance)
        low, high = (low, variance) if reach > difference else (variance, high)
    sessions = first.sessions + other.sessions
    return max(math.ceil(sessions * estimate[1] / variance), 2 * ENOUGH_SESSIONS)


def odd_shares(sessions: Sequence[int], weights: Sequence[int]) -> bool:
    """Tell whether the arms' sessions are too far from their shares to be chance, however often that is looked at.

    The e-value is the Bayes factor of "any shares" (a Dirichlet prior around the right ones) against the right ones.
    """
    whole, parts = sum(weights), len(weights)
    shares = [weight / whole for weight in weights]
    prior = [share * parts for share in shares]
    odds = math.lgamma(parts) - math.lgamma(parts + sum(sessions))
    for count, share, before in zip(sessions, shares, prior, strict=True):
        odds += math.lgamma(before + count) - math.lgamma(before) - count * math.log(share)
    return odds >= math.log(ODDS_OF_SHARES)


# --- Of one comparison ----------------------------------------------------------------------------------------------

_POWER_Z: Final = 0.8416  # a normal's quantile for POWER


def _estimate(scale: Scale, first: Sample, other: Sample) -> tuple[float, float] | None:
    """Return the difference and its variance; None where there is nothing to tell one from."""
    if not (first.count and other.count and first.sessions > 1 and other.sessions > 1):
        return None
    if not scale.amount:
        return other.mean - first.mean, first.hedged().variance + other.hedged().variance
    if first.mean <= 0 or other.mean <= 0:
        return None
    variance = first.variance / first.mean**2 + other.variance / other.mean**2
    # All sessions alike: the figures of a test, or of something that answers the same to everyone.
    return math.log(other.mean / first.mean), max(variance, 1e-12)


def _verdict(scale: Scale, value: float, variance: float, *, misled: float) -> Verdict:
    reach = radius(variance, expected=scale.expected, misled=misled)
    low, high = value - reach, value + reach
    edge = math.log1p(scale.matters) if scale.amount else scale.matters
    if -edge < low and high < edge:
        return Verdict.SAME
    if abs(value) < edge or low <= 0 <= high:
        return Verdict.OPEN
    return Verdict.BETTER if (value < 0) == scale.amount else Verdict.WORSE


def _believed(scale: Scale, value: float, variance: float) -> tuple[float, float]:
    """Return the middle and the deviation of what is believed: the estimate, drawn towards nothing while it's vague."""
    weight = scale.expected**2 / (scale.expected**2 + variance)
    return value * weight, math.sqrt(variance * weight)


def _freedom(first: Sample, other: Sample) -> float:
    return float(first.sessions + other.sessions - 2)


def _t_chance(deviations: float, first: Sample, other: Sample) -> float:
    from scipy.special import stdtr

    return float(stdtr(_freedom(first, other), deviations))


def _t_quantile(chance: float, first: Sample, other: Sample) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(_freedom(first, other), chance))


# --- Of the whole experiment ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What the goal's comparisons come to. ``winner``: the position of the arm to adopt, the first being 0.

    ``decided`` without a winner: no difference that matters.
    """

    decided: bool
    winner: int | None = None


def conclude(by_goal: Sequence[Difference]) -> Conclusion:
    """Return what comparing the second arm, the third, … with the first by the experiment's goal comes to."""
    better = [(each.change, position) for position, each in enumerate(by_goal, 1) if each.found is Verdict.BETTER]
    if better:
        pick = min if SCALES[by_goal[0].metric].amount else max
        return Conclusion(decided=True, winner=pick(better)[1])
    if any(each.found in {Verdict.OPEN, Verdict.NOTHING} for each in by_goal):
        return Conclusion(decided=False)
    worse = any(each.found is Verdict.WORSE for each in by_goal)
    return Conclusion(decided=True, winner=0 if worse else None)
