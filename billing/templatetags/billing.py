"""Money as invoices write it, and where they are in their lives."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django import template

from billing.documents.content import country_name
from billing.documents.content import money as _money
from billing.models import Status

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
