"""Two pages that look at the routes: a dry run of a tier, and what each plan leaves."""

from datetime import date
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from agents.catalogue import providers
from agents.plans import TIERS, plan, plans
from llm import running
from llm.dry_run import Line, dry_run
from llm.models import Route
from metering.margins import Cheapest, Margin, TierMargins, Way, by_tier, cheapest


def dry_run_page(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """Show where a request of a tier would go at this moment."""
    _allow(request, model_admin)
    tier = request.GET.get("tier", "")
    tier = tier if tier in TIERS else TIERS[0]
    headers = [_("Turn"), _("Provider"), _("Model"), _("Key"), _("Why")]
    today = timezone.now().date()
    context = {
        "title": _("Dry run"),
        "tier": tier,
        "tiers": [(each, plan(each, on=today).name) for each in TIERS],
        "table": {"headers": headers, "rows": [_ways_row(line) for line in dry_run(tier)]},
        "overview": running.overview(),
    }
    return _page(request, model_admin, "llm/admin/dry_run.html", context)


def margins_page(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """Show what each plan's fee leaves over each of its routes, at the rates of a day (``?on=2026-02-16``)."""
    _allow(request, model_admin)
    on = _day(request.GET.get("on", "")) or timezone.now().date()
    routes = [
        (route.tier, Way(provider=route.provider, model=route.model)) for route in Route.objects.filter(enabled=True)
    ]
    context = {
        "title": _("Margins"),
        "on": on,
        "tiers": [(each, _margins_table(each)) for each in by_tier(routes, on=on)],
        "cheapest": {
            "headers": [_("Tokens a month"), _("Cheapest plan")],
            "rows": [_cheapest_row(each) for each in cheapest(plans(on=on))],
        },
    }
    return _page(request, model_admin, "llm/admin/margins.html", context)


def _allow(request: HttpRequest, model_admin: Any) -> None:
    if not model_admin.has_view_permission(request):
        raise PermissionDenied


def _page(request: HttpRequest, model_admin: Any, template: str, context: dict[str, Any]) -> HttpResponse:
    return render(request, template, {**model_admin.admin_site.each_context(request), **context})


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _ways_row(line: Line) -> list[str]:
    return [str(line.turn) if line.turn else "–", line.provider, line.model, line.key or "–", line.why]


def _margins_table(tier: TierMargins) -> dict[str, Any]:
    headers = [_("Provider"), _("Model"), _("In / 1M"), _("Out / 1M"), _("Costs us"), _("Leaves"), _("Rates of")]
    return {"headers": headers, "rows": [_margin_row(each) for each in tier.margins]}


def _margin_row(margin: Margin) -> list[str]:
    provider = providers()[margin.way.provider].name
    if margin.rate is None or margin.cost is None:
        return [provider, margin.way.model, *[_("unknown")] * 5]
    return [
        provider,
        margin.way.model,
        f"${margin.rate.input:f}",
        f"${margin.rate.output:f}",
        f"${margin.cost:.3f}",
        f"{margin.percent} %",
        margin.rate.from_day.isoformat(),
    ]


def _cheapest_row(span: Cheapest) -> list[str]:
    start, end = (number_format(each, force_grouping=True) for each in (span.tokens, span.until or 0))
    tokens = _("%(start)s to %(end)s") if span.until else _("from %(start)s on, for good")
    return [tokens % {"start": start, "end": end}, span.plan.name]
