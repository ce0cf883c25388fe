"""How usage is written in the management API: money as decimal strings, never 0 where nobody knows."""

from decimal import Decimal
from typing import Any, Final

from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from metering.models import UsageRecord

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
