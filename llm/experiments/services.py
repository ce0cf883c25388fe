"""Starting, pausing, ending and deleting experiments, and adopting the side that won."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from agents import services, subscriptions
from agents.changes import Actor, announce, audit
from agents.models import Agent, Mode, ProviderKey
from agents.plans import TIERS, plan
from llm.experiments import results
from llm.models import LETTERS, Arm, Experiment, Goal, dearer

OURSELVES: Final = "vutler"  # in the audit trail
ARMS_AT_LEAST: Final = 2
ARMS_AT_MOST: Final = 4
HEAVIEST: Final = 100
LONGEST_INSTRUCTIONS: Final = 4_000  # characters
LONGEST: Final = timedelta(days=90)  # then it ends by itself: what shows no difference by then has none that matters


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What an arm is to be: the agent as it is, but for what is given here."""

    name: str = ""
    weight: int = 1
    key: ProviderKey | None = None
    model: str = ""
    tier: str = ""
    instructions: str = ""

    @property
    def what(self) -> tuple[object, ...]:
        """All that makes it another arm than others."""
        return (self.key and self.key.pk, self.model, self.tier, self.instructions)


@transaction.atomic
def start(*, agent: Agent, name: str, goal: str, sides: Sequence[Side], by: Actor, at: datetime) -> Experiment:
    """Divide the agent's traffic from now on.

    Raises:
        ValidationError: by field, when that can't be compared: too few sides or too many, two that are the same, a key
            of another workspace, a plan dearer than the agent's, or an experiment that is there already.
    """
    _check(agent, goal, sides, tier=agent.tier_at(at))
    named = [_named(side, on=at.date()) for side in sides]
    # Where two are called alike, their letter tells them apart.
    named = [name if named.count(name) == 1 else f"{name} ({LETTERS[n]})" for n, name in enumerate(named)]
    experiment = Experiment(
        agent=agent,
        name=(name.strip() or " / ".join(named))[:80],
        goal=goal,
        mode=Mode.MANAGED if agent.tier_at(at) else Mode.BYOKEY,
        started_at=at,
    )
    try:
        with transaction.atomic():
            experiment.save()
    except IntegrityError:
        raise ValidationError({"agent": _("This agent has an experiment already. End it first.")}) from None
    Arm.objects.bulk_create([_arm(experiment, position, side, named[position]) for position, side in enumerate(sides)])
    audit(workspace=agent.workspace, by=by, action="experiment.started", target=experiment, agent=str(agent))
    announce([agent.pk])
    return experiment


def pause(*, experiment: Experiment, by: Actor) -> None:
    """Answer all of the agent's requests as without the experiment, until it is resumed."""
    _move(experiment, Experiment.Status.RUNNING, Experiment.Status.PAUSED, by=by, action="experiment.paused")


def resume(*, experiment: Experiment, by: Actor) -> None:
    """Divide the agent's traffic again, as before."""
    _move(experiment, Experiment.Status.PAUSED, Experiment.Status.RUNNING, by=by, action="experiment.resumed")


@transaction.atomic
def end(*, experiment: Experiment, by: Actor, at: datetime) -> None:
    """End it for good; the agent goes on as it was. Twice is once."""
    if _ended(experiment, at=at, adopted=None):
        audit(workspace=experiment.agent.workspace, by=by, action="experiment.ended", target=experiment)


def end_old(*, at: datetime) -> None:
    """End experiments that have gone on for :data:`LONGEST`."""
    for experiment in Experiment.objects.filter(ended_at=None, started_at__lt=at - LONGEST).select_related("agent"):
        end(experiment=experiment, by=OURSELVES, at=at)


@transaction.atomic
def adopt(*, experiment: Experiment, arm: Arm, by: Actor, at: datetime) -> None:
    """Make the agent what the arm is, and end the experiment.

    A plan changes by the usual rules: a smaller one begins next month. An addition to the system prompt is the
    program's own to make.

    Raises:
        ValidationError: when the arm is another experiment's, can't answer any more, or the experiment is over.
    """
    if arm.experiment_id != experiment.pk:
        raise ValidationError({"adopt": _("This experiment has no such side.")})
    if experiment.obstacle(tier=experiment.agent.tier_at(at)):
        raise ValidationError({"adopt": _("This agent's key or plan has changed since. Choose in its settings.")})
    if not _ended(experiment, at=at, adopted=arm):
        raise ValidationError({"adopt": _("This experiment is over.")})
    agent = experiment.agent
    if arm.key:
        services.use_key(agent=agent, key=arm.key, by=by)
    if arm.model:
        services.change_agent(agent=agent, by=by, model=arm.model)
    if arm.tier:
        subscriptions.choose_plan(agent=agent, tier=arm.tier, by=by, at=at)
    audit(workspace=agent.workspace, by=by, action="experiment.adopted", target=experiment, arm=arm.name)


@transaction.atomic
def delete(*, experiment: Experiment, by: Actor) -> None:
    """Forget an experiment and what is known of its sides. What its requests used stays with the meter."""
    audit(workspace=experiment.agent.workspace, by=by, action="experiment.deleted", target=experiment)
    agent_id = experiment.agent_id
    experiment.delete()
    announce([agent_id])


@transaction.atomic
def rename(*, experiment: Experiment, name: str) -> None:
    """Change what it is called."""
    experiment.name = name
    experiment.save(update_fields=["name"])


@transaction.atomic
def _move(experiment: Experiment, was: str, now: str, *, by: Actor, action: str) -> None:
    if Experiment.objects.filter(pk=experiment.pk, status=was).update(status=now):
        experiment.status = now
        audit(workspace=experiment.agent.workspace, by=by, action=action, target=experiment)
        announce([experiment.agent_id])


def _ended(experiment: Experiment, *, at: datetime, adopted: Arm | None) -> bool:
    """End it if nobody has yet, and keep what came of it once that is committed; tell whether it was us."""
    ended = Experiment.objects.filter(pk=experiment.pk).exclude(status=Experiment.Status.ENDED)
    if not ended.update(status=Experiment.Status.ENDED, ended_at=at, adopted=adopted):
        return False
    experiment.status, experiment.ended_at, experiment.adopted = Experiment.Status.ENDED, at, adopted
    announce([experiment.agent_id])
    transaction.on_commit(partial(results.look_if_possible, experiment, at=at))
    return True


def _check(agent: Agent, goal: str, sides: Sequence[Side], *, tier: str | None) -> None:
    if goal not in Goal.values:
        raise ValidationError({"goal": _("Choose what is to get better.")})
    if tier is None and agent.provider_key_id is None:
        raise ValidationError({"agent": _("This agent has no key and no plan yet. Add one in its settings.")})
    if not ARMS_AT_LEAST <= len(sides) <= ARMS_AT_MOST:
        raise ValidationError({"arms": _("Compare two to four sides.")})
    if len({side.what for side in sides}) < len(sides):
        raise ValidationError({"arms": _("Two sides are the same. Change what one of them is.")})
    for side in sides:
        _check_side(agent, side, tier=tier)


def _check_side(agent: Agent, side: Side, *, tier: str | None) -> None:
    problem = _problem_on_plan(side, tier) if tier else _problem_on_keys(agent, side)
    if not 1 <= side.weight <= HEAVIEST:
        problem = _("A side's share is a whole number from 1 to 100.")
    if len(side.instructions) > LONGEST_INSTRUCTIONS:
        problem = _("Add at most 4,000 characters to the system prompt.")
    if problem:
        raise ValidationError({"arms": problem})


def _problem_on_plan(side: Side, tier: str) -> str:
    if side.key or side.model:
        return _("This agent is on a plan. Compare plans, not keys.")
    if side.tier and side.tier not in TIERS:
        return _("There is no such plan.")
    if side.tier and dearer(side.tier, than=tier):
        return _("A side can be the agent's own plan or a smaller one. Move the agent up first.")
    return ""


def _problem_on_keys(agent: Agent, side: Side) -> str:
    if side.tier:
        return _("This agent is on its owner's key. Compare keys and models, not plans.")
    if side.key and side.key.workspace_id != agent.workspace_id:
        return _("There is no such key.")
    if side.key and side.key.provider != agent.provider and not side.model:
        return _("Name the model to ask for with this key.")
    return ""


def _arm(experiment: Experiment, position: int, side: Side, name: str) -> Arm:
    return Arm(
        experiment=experiment,
        position=position,
        name=name[:80],
        weight=side.weight,
        key=side.key,
        key_name=str(side.key)[:120] if side.key else "",
        model=side.model,
        tier=side.tier,
        instructions=side.instructions,
    )


def _named(side: Side, *, on: date) -> str:
    """Return what a side is called: as somebody says, or by what it is."""
    what = side.model or (plan(side.tier, on=on).name if side.tier else _("Today"))
    added = _("%(what)s, told more") % {"what": what} if side.instructions else what
    return side.name.strip() or added
