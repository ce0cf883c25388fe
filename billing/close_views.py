"""The staff's page of a month's close: what is counted from the meter to the bank, and what lies between."""

from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from billing import tasks
from billing.agreeing import CloseReport, close_report
from billing.agreeing.steps import USD, Place, Step
from billing.documents import close_sheet, files
from billing.documents.content import money
from billing.services import WAIT
from billing.staff_forms import MonthForm
from metering.periods import Month
from metering.store import StoreUnavailable

CLOSE: Final = "billing.close_month"
SHOWN: Final = 10  # of what makes a difference up; the workbook has all


def close_page(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """Show a month's close report, or give it as a workbook; close the month when asked to."""
    if not request.user.has_perm(CLOSE):
        raise PermissionDenied
    now = timezone.now()
    form = MonthForm((request.POST or request.GET).dict(), last=Month.of(now))
    month = form.chosen()
    if request.method == "POST":
        return _close(request, month)
    context = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, "form": form, "month": month}
    try:
        report = close_report(month, at=now)
    except StoreUnavailable:
        return render(request, "billing/admin/close.html", {**context, "title": _title(month)}, status=503)
    if request.GET.get("format") == "xlsx":
        sheets = close_sheet.sheets(report, address=lambda place: settings.SITE_URL + _address(place))
        return files.book(sheets, name=f"close-{month}")
    shown = {
        "title": _title(month),
        "report": report,
        "ways": _ways(report),
        "problems": sum(each.wrong for step in report.steps for each in step.differences),
        "workbook": f"?{urlencode({'format': 'xlsx', 'month': str(month)})}",
        "urgency": "default" if report.agrees and not report.drafts else "primary",
        "over": now >= month.end,
        "issuable": month.end + WAIT,
        "drafts": _address(Place(page="billing_invoice", query={"month": str(month), "status__exact": "draft"})),
    }
    return render(request, "billing/admin/close.html", context | shown)


def _close(request: HttpRequest, month: Month) -> HttpResponse:
    if timezone.now() < month.end:
        messages.warning(request, _("This month isn't over."))
    else:
        _begin(request, month)
    return redirect(f"{reverse('admin:billing_close')}?month={month}")


def _begin(request: HttpRequest, month: Month) -> None:
    try:
        tasks.close_month.delay(str(month), by=str(request.user))
    except OperationalError:
        said = _(
            "The close of %(month)s couldn't be started, and nothing has changed: Redis, where background jobs wait, "
            "can't be reached. Try again once it's back, or run manage.py close_month %(month)s on the server."
        )
        messages.error(request, said % {"month": month})
    else:
        messages.success(request, _("%(month)s is being closed. Look again in a moment.") % {"month": month})


def _title(month: Month) -> str:
    return _("Close of %(month)s") % {"month": month}


def _ways(report: CloseReport) -> list[dict[str, Any]]:
    """Return the report's two ways, in tokens and in dollars, as rows of a table."""
    ways: list[dict[str, Any]] = []
    for step in report.steps:
        if not ways or ways[-1]["unit"] != step.unit:
            ways.append({"unit": step.unit, "rows": [_figure(step, before=True)]})
        ways[-1]["rows"] += [*_differences(step), _figure(step, before=False)]
    return ways


def _figure(step: Step, *, before: bool) -> dict[str, Any]:
    figure = step.before if before else step.after
    return {"name": figure.name, "count": figure.count, "amount": _said(step, figure.amount), "figure": True}


def _differences(step: Step) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for each in step.differences:
        items = [
            (item.name, _said(step, item.amount, signed=True), _address(item.place)) for item in each.items[:SHOWN]
        ]
        rows.append(
            {
                "name": each.name,
                "count": each.count,
                "amount": _said(step, each.amount, signed=True),
                "wrong": each.wrong,
                "items": items,
                "more": len(each.items) - len(items),
            }
        )
    if step.unexplained:
        unknown = _said(step, step.unexplained, signed=True)
        rows.append({"name": _("Nobody knows why"), "count": "", "amount": unknown, "wrong": True, "items": []})
    return rows


def _said(step: Step, amount: Any, *, signed: bool = False) -> str:
    if step.unit == USD:
        said = money(amount)
    else:
        said = number_format(abs(amount), 0, force_grouping=True)
        said = f"−{said}" if amount < 0 else said
    return f"+{said}" if signed and amount > 0 else said


def _address(place: Place) -> str:
    return f"{reverse(f'admin:{place.page}_changelist')}?{urlencode(place.query)}"
