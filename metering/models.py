"""The meter's table. Rows are only ever added, by ``metering.store``."""

from typing import Any, NoReturn

from django.db import models

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

    class Meta:
        ordering = ["-timestamp", "-id"]
        indexes = [
            models.Index(fields=["workspace_id", "-timestamp", "-id"], name="records_of_workspace"),
            models.Index(fields=["agent_id", "-timestamp", "-id"], name="records_of_agent"),
            models.Index(fields=["-timestamp", "-id"], name="records_by_time"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    def save(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: records come from the journal and never change."""
        raise TypeError("usage records are written by metering.store and never change")

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: see :meth:`save`."""
        raise TypeError("usage records are never deleted one by one")
