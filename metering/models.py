"""The meter's tables: records, which are only ever added, and what is made of them and can be made again."""

import uuid
from typing import Any, NoReturn

from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.fields import CentsField, SealedField
from metering import alerts, webhooks
from metering.fields import UsdField


class UsageRecord(models.Model):
    """One request, as stored. Fields as in ``metering.record.Record``.

    There is no foreign key: usage outlives the agent it is of, and may live in a database of its own.
    """

    id = models.UUIDField(primary_key=True)
    agent_id = models.UUIDField()
    workspace_id = models.UUIDField()
    timestamp = models.DateTimeField()
    provider = models.CharField(max_length=20)
    model = models.CharField(max_length=200)
    tier = models.CharField(max_length=10)
    tokens_input = models.BigIntegerField()
    tokens_output = models.BigIntegerField()
    cost_input = UsdField(null=True)
    cost_output = UsdField(null=True)
    cost_total = UsdField(null=True)
    price_total = UsdField()
    request_type = models.CharField(max_length=10)
    latency_ms = models.IntegerField()
    status = models.CharField(max_length=16)
    http_status = models.SmallIntegerField()
    mode = models.CharField(max_length=10)
    streamed = models.BooleanField()
    ttft_ms = models.IntegerField(null=True)
    attempts = models.JSONField()
    cache_read = models.BigIntegerField()
    cache_write = models.BigIntegerField()
    reasoning = models.BigIntegerField()
    price_version = models.CharField(max_length=260, blank=True)
    experiment_arm = models.CharField(max_length=40, blank=True)
    provenance = models.CharField(max_length=10)
    # Empty as NULL: lines that a journal kept from before there were sessions have none.
    session = models.CharField(max_length=16, null=True, blank=True, editable=False)
    # Grows in the order in which records were stored. See ``metering.store.sql_sums``.
    stored = models.BigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["-timestamp", "-id"]
        indexes = [
            models.Index(fields=["workspace_id", "-timestamp", "-id"], name="records_of_workspace"),
            models.Index(fields=["agent_id", "-timestamp", "-id"], name="records_of_agent"),
            models.Index(fields=["-timestamp", "-id"], name="records_by_time"),
            models.Index(fields=["stored"], name="records_as_stored"),
            # All that an experiment's results need, so that they are read without the records themselves.
            models.Index(
                fields=["experiment_arm", "session"],
                include=["status", "cost_total", "price_total", "latency_ms"],
                condition=models.Q(experiment_arm__gt=""),
                name="records_of_experiments",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    def save(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: records come from the journal and never change."""
        raise TypeError("usage records are written by metering.store and never change")

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: see :meth:`save`."""
        raise TypeError("usage records are never deleted one by one")


# --- Roll-ups: written by ``metering.rollups`` alone, and made again from the records at any time --------------------


class Sums(models.Model):
    """What some records add up to. Tokens, USD, ms; ``unpriced`` counts those whose cost nobody knows."""

    agent_id = models.UUIDField()
    workspace_id = models.UUIDField()
    requests = models.BigIntegerField()
    tokens_input = models.BigIntegerField()
    tokens_output = models.BigIntegerField()
    cache_read = models.BigIntegerField()
    cache_write = models.BigIntegerField()
    reasoning = models.BigIntegerField()
    cost_total = UsdField()
    price_total = UsdField()
    unpriced = models.BigIntegerField()
    latency_ms = models.BigIntegerField()

    class Meta:
        abstract = True


class SliceOfUsage(Sums):
    """Sums of records that have these in common."""

    tier = models.CharField(max_length=10)
    provider = models.CharField(max_length=20)
    model = models.CharField(max_length=200)
    status = models.CharField(max_length=16)
    request_type = models.CharField(max_length=10)

    class Meta:
        abstract = True


SLICE = ("workspace_id", "tier", "provider", "model", "status", "request_type")


class HourlyUsage(SliceOfUsage):
    """An hour of an agent (UTC), from its first instant."""

    hour = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent_id", "hour", *SLICE], name="one_slice_an_hour")]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.hour:%Y-%m-%d %H}"


class DailyUsage(SliceOfUsage):
    """A day of an agent (UTC)."""

    day = models.DateField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent_id", "day", *SLICE], name="one_slice_a_day")]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.day}"


class MonthlyUsage(Sums):
    """A calendar month of an agent (UTC), by its first day. ``managed_tokens`` are those that count for its plan."""

    month = models.DateField()
    failed = models.BigIntegerField()
    managed_tokens = models.BigIntegerField()
    providers = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace_id", "month", "agent_id"], name="one_row_an_agents_month")
        ]
        indexes = [models.Index(fields=["month", "managed_tokens"], name="thirsty_agents_of_a_month")]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.month:%Y-%m}"


class HourlyLatency(models.Model):
    """How many of an agent's answered requests of an hour took how long, to two digits (``metering.latency``)."""

    agent_id = models.UUIDField()
    hour = models.DateTimeField()
    latency_ms = models.IntegerField()
    requests = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent_id", "hour", "latency_ms"], name="one_latency_an_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.hour:%Y-%m-%d %H} {self.latency_ms} ms"


class Watermark(models.Model):
    """How far the roll-ups are: what was stored before ``stored`` is in them. One row.

    ``version`` counts the changes of roll-ups, so that who reads several of them knows whether they belong together.
    """

    stored = models.BigIntegerField(default=0)
    version = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"up to {self.stored}"


class KeptSince(models.Model):
    """From when on a workspace's records are still there. What was before is in the roll-ups alone."""

    workspace_id = models.UUIDField(primary_key=True)
    since = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.workspace_id} since {self.since:%Y-%m-%d}"


# --- Notices -------------------------------------------------------------------------------------------------------


class Threshold(models.TextChoices):
    """What an agent's month has reached: a part of its plan's allowance in percent, or its limit."""

    HALF = "50", _("half of the plan")
    MOST = "80", _("80 percent of the plan")
    ALL = "100", _("all of the plan")
    CEILING = "ceiling", _("the limit")


class Notice(models.Model):
    """That an agent has reached a threshold in a month, told to its owners once.

    ``limit`` is the number of tokens it is measured by (the allowance, or all that the month allows): who raises it
    is told again when the new one is reached.
    """

    agent_id = models.UUIDField()
    workspace_id = models.UUIDField()
    month = models.DateField()
    kind = models.CharField(max_length=10, choices=Threshold)
    limit = models.BigIntegerField()
    reached_at = models.DateTimeField()
    # Claimed by whoever is about to send it, so that no two do; free again when that came to nothing.
    claimed_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)
    dismissed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent_id", "month", "kind", "limit"], name="told_once"),
            models.CheckConstraint(condition=models.Q(kind__in=Threshold.values), name="threshold_known"),
        ]
        indexes = [
            models.Index(fields=["workspace_id", "month"], name="notices_of_workspace"),
            models.Index(fields=["reached_at"], condition=models.Q(mailed_at=None), name="notices_to_mail"),
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.month:%Y-%m} {self.kind}"


# --- Alerts: what a workspace asks to be told of besides ------------------------------------------------------------


class Metric(models.TextChoices):
    """What an alert watches."""

    TOKENS = alerts.TOKENS, _("tokens")
    COST = alerts.COST, _("cost at the provider")
    PRICE = alerts.PRICE, _("cost at list price")
    ERROR_RATE = alerts.ERROR_RATE, _("requests that fail")


class Unit(models.TextChoices):
    """What its threshold is measured in: percent, or tokens and USD."""

    ABSOLUTE = alerts.ABSOLUTE, _("absolute")
    PERCENT = alerts.PERCENT, _("percent")


class Shape(models.TextChoices):
    """As what a webhook's receiver takes it."""

    OURS = webhooks.OURS, _("A program of yours (JSON)")
    SLACK = webhooks.SLACK, "Slack"
    DISCORD = webhooks.DISCORD, "Discord"


class Channel(models.TextChoices):
    """Where an alert is told."""

    EMAIL = "email", _("E-mail")
    PAGE = "page", _("On the pages")
    WEBHOOK = "webhook", _("Webhook")


class Alert(models.Model):
    """Something that a workspace wants to be told of, and where. Changed by ``metering.alerting.services`` alone."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace_id = models.UUIDField()
    agent_id = models.UUIDField(null=True, blank=True)  # without one: all of the workspace's together
    metric = models.CharField(max_length=12, choices=Metric)
    unit = models.CharField(max_length=10, choices=Unit)
    threshold = CentsField()  # two places are enough for tokens, USD and percent alike
    window_hours = models.PositiveSmallIntegerField(default=alerts.WINDOW_HOURS)
    minimum_requests = models.PositiveIntegerField(default=alerts.MINIMUM_REQUESTS)
    mark = models.CharField(max_length=100, editable=False)  # see ``Rule.mark``
    by_email = models.BooleanField(default=True)
    on_page = models.BooleanField(default=True)
    shape = models.CharField(max_length=10, choices=Shape, default=Shape.OURS)
    # Address and signing secret as JSON. The addresses of Slack and Discord are secrets themselves.
    sealed_webhook = SealedField(null=True, editable=False)
    webhook_host = models.CharField(max_length=255, blank=True, editable=False)
    language = models.CharField(max_length=5, editable=False)  # of whoever set it up, for webhooks
    created_by = models.EmailField(blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    paused_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "id"]
        indexes = [models.Index(fields=["workspace_id", "-created_at"], name="alerts_of_workspace")]
        constraints = [
            models.CheckConstraint(condition=models.Q(metric__in=Metric.values), name="alert_metric_known"),
            models.CheckConstraint(condition=models.Q(threshold__gt=0), name="alert_threshold_positive"),
        ]

    def __str__(self) -> str:
        return self.mark

    @property
    def context(self) -> str:
        """The place that the sealed webhook belongs to."""
        return f"metering.Alert:{self.pk}:{self.workspace_id}"

    @property
    def rule(self) -> alerts.Rule:
        """What is watched."""
        return alerts.Rule(
            metric=self.metric,
            unit=self.unit,
            threshold=self.threshold,
            agent_id=self.agent_id,
            window_hours=self.window_hours,
            minimum_requests=self.minimum_requests,
        )

    @property
    def channels(self) -> list[str]:
        """Where it is told."""
        chosen = {Channel.EMAIL: self.by_email, Channel.PAGE: self.on_page, Channel.WEBHOOK: bool(self.webhook_host)}
        return [channel.value for channel, wanted in chosen.items() if wanted]


class Occasion(models.Model):
    """That an alert's threshold was reached in a period, once; or that it was tried out (the mark says which)."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="occasions")
    mark = models.CharField(max_length=100)
    period = models.CharField(max_length=10)
    facts = models.JSONField()  # ``metering.alerts.Facts``
    test = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["alert", "mark", "period"], name="told_once_a_period")]
        indexes = [models.Index(fields=["at"], name="occasions_by_time")]

    def __str__(self) -> str:
        return f"{self.mark} {self.period}"


class Delivery(models.Model):
    """An occasion on its way to where it is told: at least once, and not without end.

    ``due_at`` is when it is tried next; whoever tries it moves it on first, so that nobody else does meanwhile.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("on its way")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("given up")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    occasion = models.ForeignKey(Occasion, on_delete=models.CASCADE, related_name="deliveries")
    workspace_id = models.UUIDField()
    channel = models.CharField(max_length=10, choices=Channel)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    outcome = models.CharField(max_length=20, blank=True)  # of the last attempt: ``metering.alerts.Tried``
    status = models.PositiveSmallIntegerField(null=True)  # what the webhook's server answered
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    dismissed_at = models.DateTimeField(null=True)  # on the pages

    class Meta:
        ordering = ["-created_at", "id"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["workspace_id", "-created_at"], name="deliveries_of_workspace"),
            models.Index(fields=["due_at"], condition=models.Q(state="waiting"), name="deliveries_due"),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.state}"
