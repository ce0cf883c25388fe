"""The management API of usage: the month's sums, and the records behind them."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, status
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from agents.api import OfWorkspace, OneByOne
from agents.authentication import caller_of
from agents.models import Agent, Workspace
from metering import reading
from metering.alerting import sending, services
from metering.models import Alert, Delivery, Occasion
from metering.periods import Month
from metering.report import allowance
from metering.serializers import (
    AlertSerializer,
    DeliverySerializer,
    RecordPageSerializer,
    TestSerializer,
    UsageSerializer,
)
from metering.store import AgentUsage, Page, StoreUnavailable, get_store
from metering.totals import BYOKEY

PAGE_SIZE: Final = 50
LARGEST_PAGE: Final = 200
MONTH: Final = OpenApiParameter("month", OpenApiTypes.STR, description="A month in UTC, such as 2026-02.")


class MeterAway(exceptions.APIException):
    """The meter's database doesn't answer."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "meter_unavailable"
    default_detail = gettext_lazy("Usage can't be read right now. Nothing is lost; try again in a minute.")


class Usage(APIView):
    """What each agent used in a month (the current one unless told), and all of them together."""

    @extend_schema(tags=["usage"], parameters=[MONTH], responses=UsageSerializer)
    def get(self, request: Request) -> Response:
        """Answer with a row for each agent that is there, or was and used something."""
        workspace = caller_of(request).workspace
        month = _month(request) or Month.of(timezone.now())
        try:
            used = {each.agent_id: each for each in reading.month_usage(workspace_id=workspace.pk, month=month)}
        except StoreUnavailable:
            raise MeterAway from None
        rows = [_row(agent, used.get(agent.pk), month) for agent in _agents(workspace, used)]
        return Response(UsageSerializer({"month": str(month), "agents": rows, "totals": _totals(rows)}).data)


class Records(APIView):
    """The meter's records, the newest first."""

    @extend_schema(
        tags=["usage"],
        parameters=[
            MONTH,
            OpenApiParameter("agent", OpenApiTypes.UUID, description="Only this agent's."),
            OpenApiParameter("cursor", OpenApiTypes.STR, description="As `next` has it."),
            OpenApiParameter("page_size", OpenApiTypes.INT, description="50 unless told, 200 at most."),
        ],
        responses=RecordPageSerializer,
    )
    def get(self, request: Request) -> Response:
        """Answer with a page of the workspace's records."""
        workspace, wanted = caller_of(request).workspace, request.query_params
        agent_id = _agent_id(workspace, wanted["agent"]) if wanted.get("agent") else None
        try:
            page = get_store().records(
                workspace_id=workspace.pk,
                month=_month(request),
                agent_id=agent_id,
                cursor=wanted.get("cursor") or None,
                limit=_page_size(wanted.get("page_size", "")),
            )
        except StoreUnavailable:
            raise MeterAway from None
        except ValueError:
            raise exceptions.ValidationError({"cursor": [_("Take the cursor from another page's next.")]}) from None
        shown = {"next": _next(request, page), "previous": None, "results": page.records}
        return Response(RecordPageSerializer(shown).data)


def _month(request: Request) -> Month | None:
    text = request.query_params.get("month")
    if not text:
        return None
    try:
        return Month.parse(text)
    except ValueError:
        raise exceptions.ValidationError({"month": [_("Write the month as 2026-02.")]}) from None


def _agent_id(workspace: Workspace, agent_id: str) -> UUID:
    # A deleted agent's records are still there to be read.
    found: Agent = get_object_or_404(Agent.objects.filter(workspace=workspace), pk=agent_id)
    return found.pk


def _page_size(text: str) -> int:
    wanted = int(text) if text.isdecimal() and len(text) < len(str(LARGEST_PAGE)) + 1 else PAGE_SIZE
    return min(max(wanted, 1), LARGEST_PAGE)


def _next(request: Request, page: Page) -> str | None:
    return page.next_cursor and replace_query_param(request.build_absolute_uri(), "cursor", page.next_cursor)


def _agents(workspace: Workspace, used: Iterable[UUID]) -> Iterable[Agent]:
    there = Q(deleted_at=None) | Q(pk__in=list(used))
    return Agent.objects.filter(there, workspace=workspace).prefetch_related("stays").order_by("name", "pk")


def _row(agent: Agent, used: AgentUsage | None, month: Month) -> dict[str, Any]:
    """Return the agent's line. What is on its owner's key has no allowance, and no overage."""
    terms = agent.terms_at(month.start)
    plan = allowance(terms.plan, used) if terms else None
    return {
        "id": agent.pk,
        "name": agent.name,
        "tier": plan.plan.tier if plan else BYOKEY,
        "requests": used.requests if used else 0,
        "tokens_input": used.tokens_input if used else 0,
        "tokens_output": used.tokens_output if used else 0,
        "tokens": used.tokens if used else 0,
        "cost_total": _known_cost(used) if used else Decimal(0),
        "unpriced": used.unpriced if used else 0,
        "price_total": used.price_total if used else Decimal(0),
        "included_tokens": plan.included if plan else 0,
        "overage_tokens": plan.overage_tokens if plan else 0,
        "overage": plan.overage if plan else Decimal(0),
    }


def _known_cost(used: AgentUsage) -> Decimal | None:
    return None if used.unpriced == used.requests else used.cost_total


def _totals(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = ("requests", "tokens_input", "tokens_output", "tokens", "unpriced", "included_tokens", "overage_tokens")
    known = [row["cost_total"] for row in rows if row["requests"] and row["cost_total"] is not None]
    unknown = any(row["cost_total"] is None for row in rows)
    return {
        **{name: sum(row[name] for row in rows) for name in counts},
        "cost_total": None if unknown and not known else sum(known, Decimal(0)),
        "price_total": sum((row["price_total"] for row in rows), Decimal(0)),
        "overage": sum((row["overage"] for row in rows), Decimal(0)),
    }


# --- Alerts --------------------------------------------------------------------------------------


class TooManyTests(exceptions.Throttled):
    """The workspace has tried its alerts out too often."""

    default_detail = gettext_lazy("That was a lot of tests. Wait an hour before the next one.")


@extend_schema(tags=["alerts"])
class Alerts(OneByOne):
    """Alerts: what a workspace wants to be told of, and where."""

    queryset = Alert.objects.all()
    serializer_class = AlertSerializer

    def get_serializer_context(self) -> dict[str, Any]:
        """Tell the moment: an alert is told once a month, or a day."""
        return {**super().get_serializer_context(), "at": timezone.now()}

    def get_queryset(self) -> QuerySet[Alert]:
        """Keep the workspace's own, each with what it told this month."""
        told = Occasion.objects.filter(test=False, at__gte=Month.of(timezone.now()).start)
        mine = super().get_queryset().filter(workspace_id=self.workspace.pk)
        return self.locked(mine).prefetch_related(Prefetch("occasions", queryset=told))

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        """Change in the caller's name."""
        serializer.save(workspace=self.workspace, by=self.caller.by)

    def perform_destroy(self, instance: Alert) -> None:
        """Forget the alert."""
        services.delete_alert(alert=instance, workspace=self.workspace, by=self.caller.by)

    @extend_schema(request=TestSerializer, responses=DeliverySerializer)
    def test(self, request: Request, *_args: Any, **_kwargs: Any) -> Response:
        """Send a sample, marked as a test, to one of its channels at once, and tell how that went."""
        alert = self.get_object()
        asked = TestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        channel = asked.validated_data["channel"]
        if channel not in alert.channels:
            raise exceptions.ValidationError({"channel": [_("This alert isn't told there.")]})
        try:
            delivery = sending.test(alert=alert, channel=channel, at=timezone.now())
        except sending.TooManyTests:
            raise TooManyTests from None
        return Response(DeliverySerializer(delivery).data)


@extend_schema(tags=["alerts"])
class Deliveries(OfWorkspace, ListAPIView[Any]):
    """What alerts have told, where and with what outcome; the newest first."""

    queryset = Delivery.objects.select_related("occasion")
    serializer_class = DeliverySerializer

    def get_queryset(self) -> QuerySet[Delivery]:
        """Keep the workspace's own."""
        return super().get_queryset().filter(workspace_id=self.workspace.pk)
