"""Two of the staff's pages: correcting an invoice with a reason, and revenue with its forecast."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from billing import reports, services
from billing.documents.content import money
from billing.models import Invoice
from billing.revenue import YEARS, Inputs, forecast
from billing.staff_forms import CREDIT, VOID, CorrectionForm, ForecastForm
from metering.store import StoreUnavailable


def correct_page(request: HttpRequest, model_admin: Any, invoice_id: str) -> HttpResponse:
    """Ask what becomes of an invoice and why; then do it."""
    if not model_admin.has_operate_permission(request):
        raise PermissionDenied
    invoice = get_object_or_404(Invoice.objects.issued(), pk=invoice_id)
    left = services.left_to_credit(invoice)
    words = {line.pk: (line.description, left[line.pk]) for line in invoice.lines.all() if left[line.pk]}
    form = CorrectionForm(request.POST or None, left=words)
    if request.method == "POST" and form.is_valid():
        try:
            messages.success(request, _correct(invoice, form, by=request.user))
            return redirect("admin:billing_invoice_change", invoice.pk)
        except ValidationError as error:
            form.add_error(None, error.messages[0])
    context = {"title": _("Correct %(invoice)s") % {"invoice": invoice}, "invoice": invoice, "form": form}
    return _page(request, model_admin, "billing/admin/correct.html", context)


def _correct(invoice: Invoice, form: CorrectionForm, *, by: Any) -> str:
    deed, reason, at = form.cleaned_data["deed"], form.cleaned_data["reason"], timezone.now()
    if deed == CREDIT:
        note = services.credit(invoice=invoice, reason=reason, at=at, by=by, amounts=form.amounts())
        return _("%(note)s over %(total)s is written.") % {"note": note, "total": money(note.total)}
    if deed == VOID:
        services.void(invoice=invoice, reason=reason, at=at, by=by)
        return _("%(invoice)s is taken back.") % {"invoice": invoice}
    services.mark_uncollectible(invoice=invoice, reason=reason, at=at, by=by)
    return _("%(invoice)s is given up.") % {"invoice": invoice}


def revenue_page(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """Show what came in, and what five figures would bring."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    form = ForecastForm(request.GET if "customers" in request.GET else asdict(YEARS[0]))
    columns = [(_("Year %(number)d") % {"number": number}, each) for number, each in enumerate(YEARS, 1)]
    columns.append((_("Yours"), form.inputs()))
    context = {
        "title": _("Revenue"),
        "form": form,
        "forecast": {
            "headers": ["", *(name for name, _each in columns)],
            "rows": _forecast_rows(form, [each for _name, each in columns]),
        },
        "now": _now(),
        "months": {"headers": _month_headers(), "rows": [_month_row(each) for each in reports.revenue()]},
    }
    return _page(request, model_admin, "billing/admin/revenue.html", context)


def _now() -> dict[str, Any] | None:
    """Return the row of a month as things are; None while the meter is away, which the other months don't need."""
    try:
        return {"headers": _month_headers(), "rows": [_month_row(reports.recurring(at=timezone.now()))]}
    except StoreUnavailable:
        return None


def _forecast_rows(form: ForecastForm, columns: list[Inputs]) -> list[list[str]]:
    """Return what goes in, and below it what comes out."""
    every = [forecast(each) for each in columns]
    inputs = [[str(field.label), *(str(getattr(each, field.name)) for each in columns)] for field in form]
    return [
        *inputs,
        [_("Hosting"), *(money(each.hosting) for each in every)],
        [_("Customers on Managed"), *(f"{each.managed_customers.normalize():f}" for each in every)],
        [_("Managed"), *(money(each.managed) for each in every)],
        [_("Together, a month"), *(money(each.total) for each in every)],
        [_("Managed adds"), *(_percent(each.growth) for each in every)],
    ]


def _month_headers() -> list[str]:
    return [
        *(_("Month"), _("Customers"), _("On Managed"), _("Hosting"), _("Plans"), _("Beyond plans"), _("Credits")),
        *(_("Together"), _("Managed adds")),
    ]


def _month_row(month: reports.MonthRevenue) -> list[str]:
    share = f"{month.on_managed} ({month.share_on_managed} %)"
    amounts = (month.hosting, month.plans, month.overage, month.credits, month.total)
    return [str(month.month), str(month.customers), share, *map(money, amounts), _percent(month.growth)]


def _percent(share: Decimal | None) -> str:
    return "–" if share is None else f"+{share} %"


def _page(request: HttpRequest, model_admin: Any, template: str, context: dict[str, Any]) -> HttpResponse:
    return render(
        request, template, {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, **context}
    )
