"""The management API of invoices: to read, down to the requests behind a line."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveAPIView, get_object_or_404
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from agents.access import member_of
from agents.authentication import Caller, InWorkspace, caller_of
from agents.models import WorkspaceToken
from agents.pagination import NewestFirst
from billing import evidence
from billing.documents import files
from billing.models import Invoice, InvoiceLine
from billing.serializers import InvoiceSerializer, WhatIfSerializer, WholeInvoiceSerializer
from billing.what_if import what_if
from metering.api import MeterAway
from metering.serializers import RecordPageSerializer
from metering.store import StoreUnavailable

FILE = extend_schema(tags=["invoices"], responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})


class ManagesBilling(InWorkspace):
    """Lets in workspace tokens, and people whose role covers billing."""

    def allows(self, caller: Caller, request: Request) -> bool:
        """Tell whether ``caller`` may see invoices.

        Raises:
            PermissionDenied: for somebody whose role doesn't cover billing; says so.
        """
        if isinstance(caller.by, WorkspaceToken) or member_of(request._request).manages_billing:
            return True
        raise exceptions.PermissionDenied(
            _("Invoices are for owners, admins and those who see to billing. Ask one of them.")
        )


class OfWorkspace(GenericAPIView[Invoice]):
    """A view of the invoices of the caller's workspace."""

    queryset = Invoice.objects.prefetch_related("credit_notes")
    permission_classes = (ManagesBilling,)

    def get_queryset(self) -> QuerySet[Invoice]:
        """Keep the workspace's own."""
        return super().get_queryset().filter(workspace=caller_of(self.request).workspace)


@extend_schema(tags=["invoices"])
class Invoices(OfWorkspace, ListAPIView[Invoice]):
    """Invoices, the newest first; what isn't issued yet is a draft."""

    serializer_class = InvoiceSerializer
    pagination_class = NewestFirst


@extend_schema(tags=["invoices"])
class OneInvoice(OfWorkspace, RetrieveAPIView[Invoice]):
    """One invoice with its lines."""

    serializer_class = WholeInvoiceSerializer


class AnyKind(BaseContentNegotiation):
    """Answers with the file whatever kind is asked for; what goes wrong is said in JSON."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:  # noqa: ARG002
        """Return the only one."""
        return next(iter(parsers))

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[BaseRenderer, str]:
        """Return the only one."""
        only = next(iter(renderers))
        return only, str(only.media_type)


class InvoicePdf(OfWorkspace):
    """An invoice as PDF."""

    content_negotiation_class = AnyKind

    @FILE
    def get(self, request: Request, *_args: Any, **_kwargs: Any) -> HttpResponse:  # noqa: ARG002
        """Answer with the file."""
        return files.invoice_pdf(self.get_object())


class InvoiceCsv(OfWorkspace):
    """An invoice's lines as CSV."""

    content_negotiation_class = AnyKind

    @FILE
    def get(self, request: Request, *_args: Any, **_kwargs: Any) -> HttpResponse:  # noqa: ARG002
        """Answer with the file."""
        return files.invoice_csv(self.get_object())


class WhatIf(APIView):
    """What the last months would have come to on each plan and on one's own key, in USD before tax.

    Reckoned as invoices are, of the last three months that are over; of an agent that wasn't in use before, of the
    current one so far. Plans differ in quality, not only in volume: `verdict` tells what costs less and does less
    (`less_for_less`) from what costs less and doesn't (`less`).
    """

    @extend_schema(
        tags=["invoices"],
        parameters=[OpenApiParameter("agent", OpenApiTypes.UUID, description="Only this agent.")],
        responses=WhatIfSerializer,
    )
    def get(self, request: Request) -> Response:
        """Answer with each agent that was in use."""
        workspace, asked = caller_of(request).workspace, request.query_params.get("agent")
        mine = workspace.agents.living().order_by("name", "pk").prefetch_related("stays")
        agents = [get_object_or_404(mine, pk=asked)] if asked else list(mine)
        try:
            replays = what_if(workspace, agents, at=timezone.now())
        except StoreUnavailable:
            raise MeterAway from None
        return Response(WhatIfSerializer({"agents": replays}).data)


class LineRecords(OfWorkspace):
    """The meter's records behind a line, the newest first: those that its digest is over."""

    @extend_schema(
        tags=["invoices"],
        parameters=[OpenApiParameter("cursor", OpenApiTypes.STR, description="As `next` has it.")],
        responses=RecordPageSerializer,
    )
    def get(self, request: Request, *_args: Any, **kwargs: Any) -> Response:
        """Answer with a page of records."""
        line = get_object_or_404(InvoiceLine.objects.filter(invoice=self.get_object()), pk=kwargs["line"])
        try:
            page = evidence.records_behind(line, cursor=request.query_params.get("cursor") or None)
        except StoreUnavailable:
            raise MeterAway from None
        except ValueError:
            raise exceptions.ValidationError({"cursor": [_("Take the cursor from another page's next.")]}) from None
        url = request.build_absolute_uri()
        following = page.next_cursor and replace_query_param(url, "cursor", page.next_cursor)
        return Response(RecordPageSerializer({"next": following, "previous": None, "results": page.records}).data)
