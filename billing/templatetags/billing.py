"""Money as invoices write it, and where they are in their lives."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django import template
from django.utils import timezone

from agents.models import Agent
from billing.documents.content import country_name
from billing.documents.content import money as _money
from billing.models import Status
from billing.what_if import what_if
from metering.store import StoreUnavailable

register = template.Library()

LOOKS: Final = {
    Status.DRAFT: "",
    Status.FINALIZED: "accent",
    Status.PAID: "good",
    Status.VOID: "",
    Status.UNCOLLECTIBLE: "bad",
}


@register.filter
def money(amount: Decimal) -> str:
    """Return an amount to the cent: $1,234.50, or −$5.00 for a credit."""
    return _money(amount)


@register.filter
def unsigned(amount: Decimal | None) -> Decimal:
    """Return an amount without its sign, for words that say which way it goes."""
    return abs(amount or Decimal())


@register.filter
def at(values: Sequence[Any], number: int) -> Any:
    """Return the value that stands at a place, from 0."""
    return values[number]


@register.filter
def look(status: Status) -> str:
    """Return the look of a status's badge."""
    return LOOKS[Status(status)]


@register.filter
def last_day(end: datetime) -> datetime:
    """Return a moment of the last day before a period's end."""
    return end - timedelta(days=1)


@register.filter
def country(code: str) -> str:
    """Return a country by its two letters."""
    return country_name(code)


@register.simple_tag
def has_past(agent: Agent) -> bool:
    """Tell whether an agent, its ``stays`` prefetched, has months to be seen on other plans."""
    try:
        return bool(what_if(agent.workspace, [agent], at=timezone.now()))
    except StoreUnavailable:  # the page has other things to show
        return False
