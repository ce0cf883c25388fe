"""What the gateway and its pages keep: our own keys and routes, what staff should see, experiments, comparisons."""

import uuid
from typing import Final

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.catalogue import CUSTOM, providers
from agents.models import Agent, Mode, ProviderKey, Workspace
from agents.plans import TIERS
from agents.sealed import SealedRow
from metering.fields import UsdField

LETTERS: Final = "ABCD"  # what the two to four sides of an experiment or a comparison go by


class PoolKey(SealedRow):
    """One of our own keys at a provider, sealed. A Managed request goes out under one of these, and no other does."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    provider = models.CharField(
        max_length=20, choices=[(each.id, each.name) for each in providers().values() if each.id != CUSTOM]
    )
    name = models.CharField(max_length=80)
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1)],
        help_text=_("How often it is tried first, relative to the others."),
    )
    places = models.PositiveSmallIntegerField(
        default=64, validators=[MinValueValidator(1)], help_text=_("How many requests it takes at once.")
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["provider", "name"]

    def __str__(self) -> str:
        return f"{self.provider} {self.name} {self.hint}"

    @property
    def context(self) -> str:
        """The place that the sealed secret belongs to."""
        return f"llm.PoolKey:{self.pk}:{self.provider}"


class Route(models.Model):
    """One line of a tier's ordered list: which provider and model to try."""

    tier = models.CharField(max_length=10, choices=[(tier, tier) for tier in TIERS])
    position = models.PositiveSmallIntegerField(help_text=_("1 is tried first."))
    provider = models.CharField(
        max_length=20, choices=[(each.id, each.name) for each in providers().values() if each.id != CUSTOM]
    )
    model = models.CharField(max_length=200)
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["tier", "position"]
        constraints = [
            models.UniqueConstraint(fields=["tier", "position"], name="one_route_a_position"),
            models.CheckConstraint(condition=Q(tier__in=TIERS), name="route_tier_known"),
        ]

    def __str__(self) -> str:
        return f"{self.tier} {self.position}: {self.provider} {self.model}"


class IdempotencyKey(models.Model):
    """A request that was made under a caller's ``idempotency-key``: digests of key and body, and its id."""

    agent_id = models.UUIDField()
    key_digest = models.CharField(max_length=64)
    body_digest = models.CharField(max_length=64)
    request_id = models.UUIDField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent_id", "key_digest"], name="one_request_a_key")]

    def __str__(self) -> str:
        return str(self.request_id)


class StaffAlert(models.Model):
    """An agent used many times as many tokens in an hour as it usually does; open until somebody of staff closes it."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+")
    raised_at = models.DateTimeField(_("raised"))
    last_hour = models.BigIntegerField(_("tokens in the last hour"))
    usual_hour = models.BigIntegerField(_("tokens in a usual hour"))
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    closed_by = models.CharField(_("closed by"), max_length=254, blank=True)

    class Meta:
        verbose_name = _("alert of sudden use")
        verbose_name_plural = _("alerts of sudden use")
        ordering = ["-raised_at"]
        constraints = [
            models.UniqueConstraint(fields=["agent"], condition=Q(closed_at=None), name="one_open_alert_an_agent")
        ]

    def __str__(self) -> str:
        return f"{self.agent}: {self.last_hour:,} tokens in an hour"


# --- Experiments ----------------------------------------------------------------------------------------------------


class Goal(models.TextChoices):
    """What an experiment is to make better."""

    COST = "cost", _("Cost")
    SPEED = "speed", _("Speed")
    SUCCESS = "success", _("Success")
    FEEDBACK = "feedback", _("Feedback")


class Experiment(models.Model):
    """Divides an agent's traffic between two to four arms. What an arm is, and its weight, never change.

    An arm is the agent as it is, but for what its row names. The first is what the others are compared with.
    """

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        PAUSED = "paused", _("paused")
        ENDED = "ended", _("ended")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="experiments")
    name = models.CharField(_("name"), max_length=80)
    goal = models.CharField(max_length=10, choices=Goal, default=Goal.COST)
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    # Whose keys the agent was on as it began: on another mode, its arms can't answer.
    mode = models.CharField(max_length=10, choices=Mode)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    adopted = models.ForeignKey("Arm", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-started_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["agent"], condition=~Q(status="ended"), name="one_experiment_an_agent_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(status="ended", ended_at__isnull=False) | (~Q(status="ended") & Q(ended_at=None)),
                name="ended_experiment_has_an_end",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def over(self) -> bool:
        """Whether it has ended for good."""
        return self.status == self.Status.ENDED

    def obstacle(self, *, tier: str | None) -> str:
        """Return what keeps its arms from answering while the agent is on ``tier`` (None: on its owner's keys).

        ``mode``: it began on the other mode. ``key``: a key of its was deleted. ``plan``: an arm is dearer than the
        plan that is paid for. Empty: nothing does.
        """
        if (self.mode == Mode.MANAGED) != bool(tier):
            return "mode"
        arms = self.arms.all()
        if any(arm.key_name and arm.key_id is None for arm in arms):
            return "key"
        return "plan" if any(arm.tier and dearer(arm.tier, than=tier or "") for arm in arms) else ""


def dearer(tier: str, *, than: str) -> bool:
    """Tell whether a tier costs more than another."""
    return TIERS.index(tier) > TIERS.index(than)


class Arm(models.Model):
    """One side of an experiment: a key of the workspace and a model, a plan, an addition to the system prompt."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="arms")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=80)
    weight = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(100)])
    # ``key_name`` stays when the key is deleted: then the arm can't answer any more, rather than on another key.
    key = models.ForeignKey(ProviderKey, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    key_name = models.CharField(max_length=120, blank=True)
    model = models.CharField(max_length=200, blank=True)
    tier = models.CharField(max_length=10, blank=True)
    instructions = models.TextField(max_length=4_000, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "position"], name="one_arm_a_position"),
            models.CheckConstraint(condition=Q(weight__gte=1, weight__lte=100), name="arm_weight_in_bounds"),
            models.CheckConstraint(condition=Q(tier="") | Q(tier__in=TIERS), name="arm_tier_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def letter(self) -> str:
        """A, B, C or D."""
        return LETTERS[self.position]


class Feedback(models.Model):
    """What somebody thought of an answer: from 0 (bad) to 1 (good). One a request; the last word counts.

    ``arm`` and ``session`` are its record's, so that results are read without the meter.
    """

    request_id = models.UUIDField(primary_key=True)
    agent_id = models.UUIDField()
    score = models.FloatField(validators=[MinValueValidator(0), MaxValueValidator(1)])
    label = models.CharField(max_length=40, blank=True)
    arm = models.CharField(max_length=40, blank=True)
    session = models.CharField(max_length=16, blank=True)
    given_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["arm"], condition=Q(arm__gt=""), name="feedback_of_arms"),
            models.Index(fields=["agent_id", "-given_at"], name="feedback_of_agents"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(score__gte=0, score__lte=1), name="feedback_from_0_to_1"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id}: {self.score:.2f}"


class Look(models.Model):
    """What an experiment's results were at the end of a day (UTC), or at its end; as ``llm.experiments`` writes it."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="looks")
    day = models.DateField()
    results = models.JSONField()

    class Meta:
        ordering = ["day"]
        constraints = [models.UniqueConstraint(fields=["experiment", "day"], name="one_look_a_day")]

    def __str__(self) -> str:
        return f"{self.experiment} on {self.day}"


# --- Comparisons ----------------------------------------------------------------------------------------------------


class PromptSet(models.Model):
    """Prompts that somebody asked to have saved, to compare with again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="prompt_sets")
    name = models.CharField(max_length=80)
    prompts = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_set_of_prompts_a_name")]

    def __str__(self) -> str:
        return self.name


class Comparison(models.Model):
    """The same prompts asked of two to four columns, in an agent's name. ``columns``: see ``llm.compare.columns``.

    Prompts and answers are here only where somebody asked for it (``kept``); what isn't kept goes after a day.
    ``blind``: each prompt's answers stand in an order of their own, without names until they are voted on, or until
    somebody wants to see them (``shown``).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="comparisons")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="comparisons")
    columns = models.JSONField()
    count = models.PositiveSmallIntegerField()
    blind = models.BooleanField(default=False)
    shown = models.BooleanField(default=False)
    kept = models.BooleanField(default=False)
    prompts = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["workspace", "-created_at"], name="comparisons_of_workspaces")]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def unnamed(self) -> bool:
        """Whether it takes a vote to see a name."""
        return self.blind and not self.shown


class ComparedAnswer(models.Model):
    """One column's answer to one prompt: how long it took (ms), what it used (tokens), what it cost or is worth (USD).

    A row is made before its question goes out, so that none goes out twice. ``text`` stays empty but in a kept run.
    """

    class Status(models.TextChoices):
        ASKED = "asked"
        OK = "ok"
        FAILED = "failed"
        STOPPED = "stopped"

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="answers")
    prompt = models.PositiveSmallIntegerField()
    column = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=10, choices=Status, default=Status.ASKED)
    first_word_ms = models.PositiveIntegerField(null=True)
    took_ms = models.PositiveIntegerField(null=True)
    tokens_input = models.BigIntegerField(default=0)
    tokens_output = models.BigIntegerField(default=0)
    cost = UsdField(null=True)
    price_version = models.CharField(max_length=260, blank=True)
    thumb = models.SmallIntegerField(default=0)
    text = models.TextField(blank=True)

    class Meta:
        ordering = ["prompt", "column"]
        constraints = [
            models.UniqueConstraint(fields=["comparison", "prompt", "column"], name="one_answer_a_column"),
            models.CheckConstraint(condition=Q(thumb__in=[-1, 0, 1]), name="thumb_up_down_or_none"),
        ]

    def __str__(self) -> str:
        return f"{self.comparison} {self.prompt}/{self.column}"


class PlanTries(models.Model):
    """How many answers of plans above its own an agent has had in a month (``2026-02``) to compare with."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+")
    month = models.CharField(max_length=7)
    answers = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "month"], name="one_count_of_tries_a_month")]

    def __str__(self) -> str:
        return f"{self.agent} {self.month}: {self.answers}"
