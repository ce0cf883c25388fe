"""What an experiment's results say, in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.models import Mode
from llm.experiments.evidence import ENOUGH_SESSIONS, SCALES, Difference, Metric, Verdict
from llm.experiments.results import Results
from llm.models import Arm, Experiment

LESS: Final[dict[Metric, Any]] = {
    Metric.COST: gettext_lazy("%(name)s is %(range)s cheaper"),
    Metric.SPEED: gettext_lazy("%(name)s takes %(range)s less time"),
    Metric.SUCCESS: gettext_lazy("%(name)s fails %(range)s more often in 100 requests"),
    Metric.FEEDBACK: gettext_lazy("people like %(name)s less, by %(range)s points in 100"),
}
MORE: Final[dict[Metric, Any]] = {
    Metric.COST: gettext_lazy("%(name)s is %(range)s dearer"),
    Metric.SPEED: gettext_lazy("%(name)s takes %(range)s more time"),
    Metric.SUCCESS: gettext_lazy("%(name)s fails %(range)s less often in 100 requests"),
    Metric.FEEDBACK: gettext_lazy("people like %(name)s better, by %(range)s points in 100"),
}
LESS_OF_PLAN: Final = gettext_lazy("%(name)s takes %(range)s less of your plan")
MORE_OF_PLAN: Final = gettext_lazy("%(name)s takes %(range)s more of your plan")
NOTHING: Final[dict[Metric, Any]] = {
    Metric.COST: gettext_lazy("What a request costs isn't known for both yet."),
    Metric.SPEED: gettext_lazy("Both need a few answers first."),
    Metric.SUCCESS: gettext_lazy("Both need a few requests first."),
    Metric.FEEDBACK: gettext_lazy("Nobody has said yet what they think of the answers of both."),
}
NAMES: Final[dict[Metric, Any]] = {
    Metric.COST: gettext_lazy("Cost"),
    Metric.SPEED: gettext_lazy("Speed"),
    Metric.SUCCESS: gettext_lazy("Success"),
    Metric.FEEDBACK: gettext_lazy("Feedback"),
}
NEARLY_CERTAIN: Final = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Says what came of an experiment."""

    experiment: Experiment
    arms: Sequence[Arm]
    results: Results

    def headline(self) -> str:
        """Return the answer in one or two sentences."""
        conclusion, goal = self.results.conclusion, Metric(self.experiment.goal)
        if not conclusion.decided:
            return self._open()
        if conclusion.winner is None:
            return _("No difference that matters. Keep whichever you like.")
        if conclusion.winner == 0:
            return _("%(name)s stays ahead: none of the others is better.") % {"name": self.arms[0].name}
        difference = self.results.differences[goal][conclusion.winner - 1]
        return self.sentence(difference, self.arms[conclusion.winner])

    def sentence(self, difference: Difference, arm: Arm) -> str:
        """Return how an arm differs from the first."""
        match difference.found:
            case Verdict.NOTHING:
                return str(NOTHING[difference.metric])
            case Verdict.SAME:
                edge = _size(difference.metric, SCALES[difference.metric].matters)
                edge = edge if SCALES[difference.metric].amount else _("%(number)s in 100") % {"number": edge}
                return _("No difference that matters: less than %(edge)s either way.") % {"edge": edge}
            case Verdict.OPEN:
                return self._so_far(difference, arm)
        claim = _capital(self._claim(difference, arm))
        return _("%(claim)s; we are %(sure)s sure.") % {"claim": claim, "sure": sure(difference)}

    def _open(self) -> str:
        if min(side.sessions for side in self.results.sides) < ENOUGH_SESSIONS or not self.results.needed:
            return _("Too early to say: each side needs at least %(number)s conversations.") % {
                "number": ENOUGH_SESSIONS
            }
        if self.results.sessions < self.results.needed:
            return _("Too early to say. A difference of 10%% usually shows after %(needed)s conversations.") % {
                "needed": number_format(self.results.needed, force_grouping=True)
            }
        return _("No clear answer yet: if there is a difference, it is a small one.")

    def _so_far(self, difference: Difference, arm: Arm) -> str:
        if difference.low < 0 < difference.high:
            return _("Too early to say: anywhere from %(low)s to %(high)s.") % {
                "low": _signed(difference.metric, difference.low),
                "high": _signed(difference.metric, difference.high),
            }
        claim = self._claim(difference, arm)
        return _("So far, %(claim)s. That isn't enough to decide.") % {"claim": claim}

    def _claim(self, difference: Difference, arm: Arm) -> str:
        less = difference.change < 0
        words = (LESS if less else MORE)[difference.metric]
        if difference.metric is Metric.COST and self.experiment.mode == Mode.MANAGED:
            words = LESS_OF_PLAN if less else MORE_OF_PLAN
        said: str = words % {"name": arm.name, "range": _range(difference)}
        return said


def sure(difference: Difference) -> str:
    """Return how sure one may be, rounded down: "97%"."""
    if difference.sure >= NEARLY_CERTAIN:
        return _("more than %(number)s") % {"number": percent("99")}
    return percent(str(int(difference.sure * 100)))


def percent(number: str) -> str:
    """Write a percentage as the reader's language does."""
    return _("%(number)s%%") % {"number": number}


def _range(difference: Difference) -> str:
    least, most = sorted((abs(difference.low), abs(difference.high)))
    low, high = round(least * 100), round(most * 100)
    if low == high:
        return _size(difference.metric, most)
    return f"{low}–{_size(difference.metric, most)}"


def _size(metric: Metric, value: float) -> str:
    """Return a difference without its sign: in percent of an amount, in points of a share."""
    number = str(round(abs(value) * 100))
    return percent(number) if SCALES[metric].amount else number


def _signed(metric: Metric, value: float) -> str:
    size = f"{'−' if value < 0 else '+'}{_size(metric, value)}"
    return size if SCALES[metric].amount else _("%(number)s in 100") % {"number": size}


def _capital(text: str) -> str:
    """Begin a sentence, unless it begins with a name, which is written as it is."""
    return text[:1].upper() + text[1:] if text.startswith(("people ", "les ")) else text
