"""The meter's tables: records, which are only ever added, and what is made of them and can be made again."""

from typing import Any, NoReturn

from django.db import models
from django.utils.translation import gettext_lazy as _

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
    # Grows in the order in which records were stored. See ``metering.store.sql_sums``.
    stored = models.BigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["-timestamp", "-id"]
        indexes = [
            models.Index(fields=["workspace_id", "-timestamp", "-id"], name="records_of_workspace"),
            models.Index(fields=["agent_id", "-timestamp", "-id"], name="records_of_agent"),
            models.Index(fields=["-timestamp", "-id"], name="records_by_time"),
            models.Index(fields=["stored"], name="records_as_stored"),
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
