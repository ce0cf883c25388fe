"""How invoices are written in the management API: money as decimal strings, in USD."""

from typing import Any

from rest_framework import serializers

from billing.models import Invoice, InvoiceLine
from billing.replay import Verdict
from metering.serializers import UsdField


class LineSerializer(serializers.ModelSerializer[InvoiceLine]):
    """One line. ``digest`` is over the ``records`` behind it; see the address of its records."""

    month = serializers.CharField(source="of_month", read_only=True)
    unit_price = UsdField(help_text="A million tokens, or the whole fee.")
    amount = UsdField()

    class Meta:
        model = InvoiceLine
        fields = (
            *("id", "position", "kind", "month", "description", "agent_id", "name", "tier", "quantity"),
            *("unit_price", "amount", "tokens", "included_tokens", "records", "digest"),
        )
        read_only_fields = fields


class InvoiceSerializer(serializers.ModelSerializer[Invoice]):
    """An invoice in the list."""

    month = serializers.CharField(read_only=True)
    subtotal = UsdField()
    tax_rate = UsdField(help_text="In percent.")
    tax = UsdField()
    total = UsdField()
    credited = UsdField(help_text="What credit notes took back.")
    due = UsdField(help_text="What is left to pay.")

    class Meta:
        model = Invoice
        fields: tuple[str, ...] = (
            *("id", "number", "status", "month", "period_start", "period_end", "currency"),
            *("subtotal", "tax_rate", "tax", "total", "credited", "due", "finalized_at", "due_at", "paid_at"),
        )
        read_only_fields = fields


class WholeInvoiceSerializer(InvoiceSerializer):
    """An invoice with its lines, and who it is from and to."""

    lines = LineSerializer(many=True, read_only=True)
    parties = serializers.SerializerMethodField()

    class Meta(InvoiceSerializer.Meta):
        fields = (*InvoiceSerializer.Meta.fields, "parties", "lines")

    def get_parties(self, invoice: Invoice) -> dict[str, Any]:
        """Return seller and buyer as they were when it was drawn up."""
        return {name: invoice.snapshot[name] for name in ("seller", "buyer")}


class BillSerializer(serializers.Serializer[Any]):
    """What some months come to, one way. ``amount`` is null where nobody knows any of it."""

    amount = UsdField(allow_null=True)
    beyond = UsdField(help_text="The part of it that lies beyond the plan.")
    stops = serializers.IntegerField(help_text="In how many months the agent would have reached its limit.")
    unpriced = serializers.IntegerField(help_text="Requests that aren't in the amount: no price is known for them.")


class WaySerializer(serializers.Serializer[Any]):
    """One way that the months could have gone. ``tier`` is `byokey` for one's own key."""

    tier = serializers.CharField()
    months = BillSerializer(many=True)
    together = BillSerializer()
    difference = UsdField(allow_null=True, help_text="To what it is on now, all along; negative where it costs less.")
    verdict = serializers.ChoiceField([each.value for each in Verdict])


class MonthAsItWasSerializer(serializers.Serializer[Any]):
    """A month as it was."""

    month = serializers.CharField()
    tier = serializers.CharField()
    tokens = serializers.IntegerField()
    actual = BillSerializer()


class AgentWhatIfSerializer(serializers.Serializer[Any]):
    """One agent's months, the oldest first. ``so_far``: it's the current month, which isn't over."""

    id = serializers.UUIDField(source="agent.pk")
    name = serializers.CharField(source="agent.name")
    tier = serializers.CharField(source="now")
    so_far = serializers.BooleanField()
    months = MonthAsItWasSerializer(many=True)
    actual = BillSerializer()
    ways = WaySerializer(many=True)


class WhatIfSerializer(serializers.Serializer[Any]):
    """The workspace's agents that were in use."""

    agents = AgentWhatIfSerializer(many=True)
