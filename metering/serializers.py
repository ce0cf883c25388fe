"""How usage is written in the management API: money as decimal strings, never 0 where nobody knows."""

from decimal import Decimal
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from agents.crypto import Secret
from metering.alerting import services, words
from metering.alerts import Rule
from metering.models import Alert, Channel, Delivery, Metric, Shape, Unit, UsageRecord

CENT: Final = Decimal("0.01")


class UsdField(serializers.DecimalField):
    """US dollars as text: all the decimals that there are, and at least two."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=None, decimal_places=None, read_only=True, **kwargs)

    def to_representation(self, value: Decimal) -> str:
        """Return ``18.50`` or ``0.000416``."""
        cents = value.quantize(CENT)
        return f"{cents if cents == value else value.normalize():f}"


class UsageSumSerializer(serializers.Serializer[Any]):
    """What was used in a month. ``cost_total`` is of the requests whose price is known, null where it's of none."""

    requests = serializers.IntegerField()
    tokens_input = serializers.IntegerField()
    tokens_output = serializers.IntegerField()
    tokens = serializers.IntegerField()
    cost_total = UsdField(allow_null=True)
    unpriced = serializers.IntegerField(help_text="Requests whose cost nobody knows.")
    price_total = UsdField()
    included_tokens = serializers.IntegerField()
    overage_tokens = serializers.IntegerField()
    overage = UsdField()


class AgentUsageSerializer(UsageSumSerializer):
    """One agent's month."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    tier = serializers.CharField()


class UsageSerializer(serializers.Serializer[Any]):
    """The workspace's month."""

    month = serializers.CharField()
    agents = AgentUsageSerializer(many=True)
    totals = UsageSumSerializer()


@extend_schema_field(
    inline_serializer(
        "Attempt",
        {
            "provider": serializers.CharField(),
            "model": serializers.CharField(),
            "status": serializers.IntegerField(allow_null=True),
            "latency_ms": serializers.IntegerField(),
        },
        many=True,
    )
)
class AttemptsField(serializers.JSONField):
    """The calls to providers that a request took."""


class RecordSerializer(serializers.ModelSerializer[UsageRecord]):
    """One request, as the meter has it."""

    cost_input = UsdField(allow_null=True)
    cost_output = UsdField(allow_null=True)
    cost_total = UsdField(allow_null=True)
    price_total = UsdField()
    attempts = AttemptsField()

    class Meta:
        model = UsageRecord
        fields = [field.name for field in UsageRecord._meta.concrete_fields if field.editable]
        read_only_fields = fields


class RecordPageSerializer(serializers.Serializer[Any]):
    """A page of records. It is read forward only: ``previous`` is always null."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = RecordSerializer(many=True)


class AlertSerializer(serializers.Serializer[Alert]):
    """An alert. Its webhook's address goes in and never comes out; its signing secret comes out once."""

    id = serializers.UUIDField(read_only=True)
    agent = serializers.UUIDField(
        source="agent_id", required=False, allow_null=True, help_text=_("null for all agents together.")
    )
    metric = serializers.ChoiceField(Metric.values)
    unit = serializers.ChoiceField(
        Unit.values, required=False, help_text=_("percent of what plans include (tokens), or of requests (error_rate).")
    )
    threshold = serializers.DecimalField(
        max_digits=15, decimal_places=2, help_text=_("In tokens, USD or percent: told once it is reached.")
    )
    window_hours = serializers.IntegerField(required=False, help_text=_("Of error_rate: how far it looks back."))
    minimum_requests = serializers.IntegerField(
        required=False, help_text=_("Of error_rate: with fewer requests in the window nothing is told.")
    )
    channels = serializers.ListField(child=serializers.ChoiceField(Channel.values), required=False)
    webhook_format = serializers.ChoiceField(Shape.values, source="shape", required=False)
    webhook_url = serializers.CharField(
        max_length=500, required=False, write_only=True, help_text=_("Given again, it gets a new webhook_secret.")
    )
    webhook_host = serializers.CharField(read_only=True)
    webhook_secret = serializers.SerializerMethodField(
        help_text=_("Signs what the webhook is sent. Shown in the answer to giving webhook_url, null ever after.")
    )
    paused = serializers.BooleanField(required=False)
    reached_at = serializers.SerializerMethodField(help_text=_("When it told something this month, or today; or null."))
    created_at = serializers.DateTimeField(read_only=True)

    _made: Secret | None = None

    def get_webhook_secret(self, _alert: Alert) -> str | None:
        """Return the secret that was made just now, if one was."""
        return self._made.reveal() if self._made else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_reached_at(self, alert: Alert) -> str | None:
        """Return when it was reached in this period."""
        period = alert.rule.period(self.context["at"])
        told = next((each for each in alert.occasions.all() if (each.mark, each.period) == (alert.mark, period)), None)
        return serializers.DateTimeField().to_representation(told.at) if told else None

    def to_representation(self, instance: Alert) -> dict[str, Any]:
        """Return what is shown of an alert."""
        whole = instance.threshold == int(instance.threshold)
        money = instance.metric in {Metric.COST, Metric.PRICE}
        shown = super().to_representation(instance)
        shown["threshold"] = f"{instance.threshold:.0f}" if whole and not money else f"{instance.threshold:.2f}"
        return {**shown, "paused": instance.paused_at is not None}

    def create(self, validated_data: dict[str, Any]) -> Alert:
        """Set it up."""
        attrs = validated_data
        with transaction.atomic():
            alert, self._made = services.create_alert(
                workspace=attrs["workspace"], wish=_wish(attrs, None), by=attrs["by"]
            )
            self._set_paused(alert, attrs)
        return alert

    def update(self, instance: Alert, validated_data: dict[str, Any]) -> Alert:
        """Change what is given, all of it or nothing."""
        attrs = validated_data
        with transaction.atomic():
            if set(attrs) - {"paused", "by", "workspace"}:
                self._made = services.change_alert(
                    alert=instance, workspace=attrs["workspace"], wish=_wish(attrs, instance), by=attrs["by"]
                )
            self._set_paused(instance, attrs)
        return instance

    def _set_paused(self, alert: Alert, attrs: dict[str, Any]) -> None:
        if "paused" not in attrs:
            return
        if attrs["paused"]:
            services.pause(alert=alert, workspace=attrs["workspace"], by=attrs["by"], at=self.context["at"])
        else:
            services.resume(alert=alert, workspace=attrs["workspace"], by=attrs["by"])
        alert.refresh_from_db(fields=["paused_at"])


def _wish(attrs: dict[str, Any], alert: Alert | None) -> services.Wish:
    """Return the alert as it is wished: what is given, and what it is for the rest."""
    is_now = alert or Alert()
    metric = attrs.get("metric", is_now.metric)
    # Requests that fail are always in percent.
    usual = is_now.unit if alert and metric == alert.metric else Unit.ABSOLUTE
    rule = Rule(
        metric=metric,
        unit=attrs.get("unit", Unit.PERCENT if metric == Metric.ERROR_RATE else usual),
        threshold=attrs.get("threshold", is_now.threshold),
        agent_id=attrs.get("agent_id", is_now.agent_id),
        window_hours=attrs.get("window_hours", is_now.window_hours),
        minimum_requests=attrs.get("minimum_requests", is_now.minimum_requests),
    )
    channels = attrs.get("channels", is_now.channels + (["webhook"] if "webhook_url" in attrs else []))
    return services.Wish(
        rule=rule,
        by_email=Channel.EMAIL in channels,
        on_page=Channel.PAGE in channels,
        by_webhook=Channel.WEBHOOK in channels,
        shape=attrs.get("shape", is_now.shape),
        webhook_url=Secret(attrs["webhook_url"]) if attrs.get("webhook_url") else None,
    )


class DeliverySerializer(serializers.Serializer[Delivery]):
    """A delivery of something that an alert has told."""

    id = serializers.UUIDField(help_text=_("The webhook-id that a webhook is sent."))
    alert = serializers.UUIDField(source="occasion.alert_id")
    text = serializers.SerializerMethodField()
    test = serializers.BooleanField(source="occasion.test")
    channel = serializers.ChoiceField(Channel.values)
    state = serializers.ChoiceField(Delivery.State.values)
    detail = serializers.SerializerMethodField(help_text=_("Why the last attempt failed, for people; else empty."))
    status = serializers.IntegerField(allow_null=True, help_text=_("What the webhook's server answered."))
    attempts = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_text(self, delivery: Delivery) -> str:
        """Return what was told."""
        return words.headline(words.facts_of(delivery.occasion))

    def get_detail(self, delivery: Delivery) -> str:
        """Return why it didn't arrive."""
        return words.outcome(delivery)


class TestSerializer(serializers.Serializer[Any]):
    """Which of an alert's channels to try."""

    channel = serializers.ChoiceField(Channel.values)
