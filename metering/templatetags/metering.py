"""Tokens and money as people read them, in the reader's language; and what agents have reached."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from uuid import UUID

from django import template
from django.db import Error
from django.template import Context
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from agents.models import Agent
from metering.alerting import listing
from metering.details import Part
from metering.forecast import Forecast
from metering.notices import open_notices

register = template.Library()

CENT: Final = Decimal("0.01")
DIGITS_BELOW_A_CENT: Final = 4
THOUSAND: Final = 1000
UNITS: Final = ((10**3, "k"), (10**6, "M"), (10**9, "B"))
SECOND: Final = 1_000  # ms


@register.filter
def tokens(count: int) -> str:
    """Return a count of tokens in short: 380, 12.4k, 1.2M."""
    short, letter = Decimal(count), ""
    for size, unit in UNITS:
        # 999,950 is a million to one decimal, not 1,000k.
        if short < THOUSAND:
            break
        short, letter = (Decimal(count) / size).quantize(Decimal("0.1"), ROUND_HALF_UP), unit
    return number_format(short.quantize(Decimal(1)) if short == int(short) else short) + letter


@register.filter
def exact(value: int | Decimal) -> str:
    """Return a number to its last digit, with separators: 1,234,567 or 0.000416."""
    if isinstance(value, Decimal):
        value = value.normalize()
        value = value.quantize(Decimal(1)) if value == value.to_integral_value() else value
    return number_format(value, force_grouping=True)


@register.filter
def seconds(ms: int | None) -> str:
    """Return a time in seconds: 0.41 s, 3.2 s, 1,204 s; a dash where there is none."""
    if ms is None:
        return "–"
    if ms < SECOND // 100:
        return _("< %(seconds)s s") % {"seconds": number_format(0.01, 2)}
    places = 2 if ms < SECOND else 1 if ms < 10 * SECOND else 0
    return _("%(seconds)s s") % {"seconds": number_format(ms / SECOND, places, force_grouping=True)}


@register.filter
def whole(percent: Decimal) -> str:
    """Return percent without a fraction, cut off: only what is reached reads as reached."""
    return number_format(int(percent), force_grouping=True)


@register.filter
def usd(amount: Decimal) -> str:
    """Return an amount in dollars: $1,234.56, $0.42, $0.000416. Only nothing at all is $0."""
    if not amount:
        return _("$%(amount)s") % {"amount": "0"}
    if amount >= CENT:
        cents = number_format(amount.quantize(CENT, ROUND_HALF_UP), 2, force_grouping=True)
        return _("$%(amount)s") % {"amount": cents}
    # Below a cent, the first digits that aren't zero are what matters.
    last = Decimal(1).scaleb(amount.adjusted() - DIGITS_BELOW_A_CENT + 1)
    return _("$%(amount)s") % {"amount": exact(amount.quantize(last, ROUND_HALF_UP))}


@register.filter
def named(part: Part, names: Mapping[str, Any] | None) -> Any:
    """Return what a part of a month is called: by ``names``, or, a provider's model, as it calls itself."""
    return part.name if names is None else names.get(part.name, part.name)


@register.filter
def of_agent(values: Mapping[UUID, Any], agent_id: UUID) -> Any:
    """Return what there is of an agent, or nothing."""
    return values.get(agent_id)


@register.filter
def passes(ahead: Forecast, included: int) -> bool | None:
    """Tell whether a month will pass an allowance; None where it may."""
    return ahead.passes(included)


@register.inclusion_tag("metering/_notices.html", takes_context=True)
def usage_notices(context: Context, agent: Agent | None = None) -> dict[str, Any]:
    """Show what agents of the reader's workspace (or one of them) have reached this month, until it's closed."""
    member, request, agent_id = context["member"], context["request"], agent.pk if agent else None
    here = {"member": member, "here": request.get_full_path(), "request": request}
    try:
        notices = open_notices(workspace_id=member.workspace_id, agent_id=agent_id, at=timezone.now())
        alerts = listing.open_notices(workspace_id=member.workspace_id, agent_id=agent_id, at=timezone.now())
    except Error:  # the meter may be in a database of its own, and away: the page has other things to show
        return here
    return {"notices": notices, "alerts": alerts, **here}
