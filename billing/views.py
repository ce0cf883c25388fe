"""The pages of invoices: what the next one will be, those that are there, and what is behind them."""

from typing import Final
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from agents.access import in_workspace, manages_billing, member_of
from billing import evidence, rating, services, snapshots
from billing import what_if as comparing
from billing.documents import files
from billing.forms import BillingForm
from billing.models import CreditNote, Invoice, InvoiceLine
from billing.payment_views import how_paid
from metering.periods import Month
from metering.store import StoreUnavailable

AGENTS_A_PAGE: Final = 20


@require_GET
@manages_billing
def billing(request: HttpRequest) -> HttpResponse:
    """Show what this month comes to so far, and the invoices that are there."""
    workspace, month = member_of(request).workspace, Month.of(timezone.now())
    try:
        [rated] = rating.rate([workspace], month, provisional=True)
    except StoreUnavailable:
        return render(request, "metering/away.html", status=503)
    language = get_language() or "en"
    context = {
        "month": month,
        "draft": rated.draft,
        "lines": [(snapshots.describe(each, language=language), each) for each in rated.draft.lines],
        "profile": rated.profile,
        "invoices": Invoice.objects.filter(workspace=workspace).select_related("sent").prefetch_related("credit_notes"),
        **how_paid(workspace),
    }
    return render(request, "billing/billing.html", context)


@require_GET
@in_workspace
def what_if(request: HttpRequest) -> HttpResponse:
    """Show what the last months would have come to on each plan: of one agent, or of all, some a page."""
    workspace = member_of(request).workspace
    mine = workspace.agents.living().order_by("name", "pk").prefetch_related("stays")
    asked = request.GET.get("agent")
    agent = get_object_or_404(mine, pk=_uuid(asked)) if asked else None
    page = Paginator([agent] if agent else mine, AGENTS_A_PAGE).get_page(request.GET.get("page"))
    try:
        replays = comparing.what_if(workspace, list(page), at=timezone.now())
    except StoreUnavailable:
        return render(request, "metering/away.html", status=503)
    return render(request, "billing/what_if.html", {"agent": agent, "page": page, "replays": replays})


@manages_billing
def details(request: HttpRequest) -> HttpResponse:
    """Change who invoices are made out to."""
    member = member_of(request)
    profile = services.profile_of(member.workspace)
    form = BillingForm(request.POST or None, instance=profile)
    if request.method == "POST" and form.is_valid():
        services.change_profile(workspace=member.workspace, details=form.details(), by=member.user)
        messages.success(request, _("Saved. Your next invoice is made out like this."))
        return redirect("billing:billing")
    return render(request, "billing/details.html", {"form": form}, status=422 if form.errors else 200)


@require_GET
@manages_billing
def invoice(request: HttpRequest, invoice_id: UUID) -> HttpResponse:
    """Show an invoice with its lines."""
    found = _invoice(request, invoice_id)
    context = {
        "invoice": found,
        "lines": found.lines.all(),
        "notes": found.credit_notes.all(),
        **how_paid(found.workspace),
    }
    return render(request, "billing/invoice.html", context)


@require_GET
@manages_billing
def line(request: HttpRequest, invoice_id: UUID, line_id: UUID) -> HttpResponse:
    """Show the requests behind a line."""
    found = get_object_or_404(InvoiceLine, invoice=_invoice(request, invoice_id), pk=line_id)
    cursor = request.GET.get("cursor") or None
    try:
        page = evidence.records_behind(found, cursor=cursor)
    except StoreUnavailable:
        return render(request, "metering/away.html", status=503)
    except ValueError:
        raise Http404 from None
    gone = evidence.gone_since(found.invoice.workspace_id, month=found.of_month) if found.agent_id else None
    context = {"line": found, "invoice": found.invoice, "page": page, "cursor": cursor, "gone_since": gone}
    return render(request, "billing/line.html", context)


@require_GET
@manages_billing
def pdf(request: HttpRequest, invoice_id: UUID) -> HttpResponse:
    """Give an invoice as PDF."""
    return files.invoice_pdf(_invoice(request, invoice_id))


@require_GET
@manages_billing
def csv(request: HttpRequest, invoice_id: UUID) -> HttpResponse:
    """Give an invoice's lines as CSV."""
    return files.invoice_csv(_invoice(request, invoice_id))


@require_GET
@manages_billing
def credit_note(request: HttpRequest, note_id: UUID) -> HttpResponse:
    """Give a credit note as PDF."""
    note = get_object_or_404(CreditNote, pk=note_id, invoice__workspace=member_of(request).workspace)
    return files.credit_note_pdf(note)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None


def _invoice(request: HttpRequest, invoice_id: UUID) -> Invoice:
    return get_object_or_404(Invoice, pk=invoice_id, workspace=member_of(request).workspace)
