"""Names for people where tables hold ids, and prices as they are said."""

from datetime import datetime
from decimal import Decimal

from django import template
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from agents import offers
from agents.catalogue import providers
from agents.plans import plan

register = template.Library()


@register.filter
def provider_name(provider_id: str) -> str:
    """Return a provider as people know it."""
    known = providers().get(provider_id)
    return _(known.name) if known else provider_id


@register.filter
def plan_name(tier: str) -> str:
    """Return a plan as people know it."""
    return plan(tier, on=timezone.now().date()).name


@register.filter
def price(amount: Decimal | int) -> str:
    """Return an amount in dollars, with cents only where there are some: $5, $2.32."""
    places = 0 if amount == int(amount) else 2
    return _("$%(amount)s") % {"amount": number_format(amount, places, force_grouping=True)}


@register.filter
def first_of(moment: datetime) -> str:
    """Return the first of a month as people say it: March 1."""
    return offers.first_of(moment)
