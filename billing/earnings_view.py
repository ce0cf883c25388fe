"""The staff's page of what agents on plans bring and cost, and that table as a file."""

from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agents.plans import CENT, plan
from billing import reports
from billing.documents import files
from billing.documents.content import money
from billing.documents.sheets import Sheet
from billing.earnings import Earning, Sums, by_customer, by_tier, together, worst_first
from metering.periods import Month
from metering.store import StoreUnavailable

SHOWN: Final = 50  # rows of a table; all of them are in the file
FILES: Final = ("csv", "xlsx")
COLUMNS: Final = (
    *("month", "workspace_id", "customer", "agent_id", "agent", "plan", "fee", "beyond", "brings", "cost", "leaves"),
    *("margin_percent", "loses", "included_tokens", "tokens", "unused_tokens", "unpriced_requests"),
)


def earnings_page(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """Show what a month's agents on plans leave us (``?month=2026-02``), or give it as a file (``&format=xlsx``)."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    month = _month(request.GET.get("month", "")) or Month.of(timezone.now()).previous()
    context = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, "title": _("Margin by agent")}
    try:
        found = worst_first(reports.earned(month))
    except StoreUnavailable:
        return render(request, "billing/admin/earnings_away.html", context, status=503)
    if (kind := request.GET.get("format")) in FILES:
        rows = (_file_row(month, each) for each in found)
        return files.sheet(Sheet(name="Margins", header=COLUMNS, rows=rows), name=f"margins-{month}", kind=str(kind))
    return render(request, "billing/admin/earnings.html", {**context, **_tables(month, found)})


def _tables(month: Month, found: Sequence[Earning]) -> dict[str, Any]:
    losing = [each for each in found if each.sums.loses]
    customers = by_customer(found)
    return {
        "month": month,
        **{f"as_{kind}": f"?month={month}&format={kind}" for kind in FILES},
        "whole": together(found),
        "losing": _agents(losing, month),
        "losing_count": len(losing),
        "tiers": _table(_("Plan"), [(_counted(_plan(tier, month), sums), sums) for tier, sums in by_tier(found)]),
        "customers": _table(_("Customer"), [(_counted(name, sums), sums) for name, sums in customers[:SHOWN]]),
        "agents": _agents(found, month),
        "shown": SHOWN,
        "more": len(found) > SHOWN or len(customers) > SHOWN,
    }


def _agents(found: Sequence[Earning], month: Month) -> dict[str, Any]:
    words = [(f"{each.name} · {each.workspace} · {_plan(each.tier, month)}", each.sums) for each in found[:SHOWN]]
    return _table(_("Agent"), words)


def _table(of: str, rows: Sequence[tuple[str, Sums]]) -> dict[str, Any]:
    headers = [of, _("Fees"), _("Beyond plans"), _("Costs us"), _("Leaves"), _("Margin"), _("Not used of plans")]
    return {"headers": headers, "rows": [[name, *_row(sums)] for name, sums in rows]}


def _counted(name: str, sums: Sums) -> str:
    said = ngettext("%(name)s, %(count)s agent", "%(name)s, %(count)s agents", sums.agents)
    return said % {"name": name, "count": number_format(sums.agents, force_grouping=True)}


def _row(sums: Sums) -> Iterator[str]:
    yield money(sums.fees)
    yield money(sums.beyond)
    # What nobody knows the price of isn't in there, and that isn't passed over.
    unknown = [_("%(count)d unpriced") % {"count": sums.unpriced}] if sums.unpriced else []
    yield " + ".join([money(_cents(sums.cost)), *unknown])
    yield f"{'▼ ' if sums.loses else ''}{money(_cents(sums.left))}"
    yield _percent(sums.margin)
    yield _percent(sums.unused_share)


def _file_row(month: Month, each: Earning) -> list[Any]:
    sums = each.sums
    return [
        *(str(month), str(each.workspace_id), each.workspace, str(each.agent_id), each.name, _plan(each.tier, month)),
        *(sums.fees, sums.beyond, sums.brings, sums.cost, sums.left),
        *(sums.margin if sums.margin is not None else "", "yes" if sums.loses else "no"),
        *(sums.included, sums.tokens, sums.unused, sums.unpriced),
    ]


def _plan(tier: str, month: Month) -> str:
    return plan(tier, on=month.start.date()).name


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def _percent(share: Decimal | None) -> str:
    return "–" if share is None else f"{share} %".replace("-", "−")


def _month(text: str) -> Month | None:
    try:
        return Month.parse(text)
    except ValueError:
        return None
