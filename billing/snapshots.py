"""What an invoice keeps of the world on the day it's drawn up: names, addresses, and every line in words."""

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agents.models import Workspace
from agents.plans import plan
from billing.invoicing import Kind, Line
from billing.models import BillingProfile, InvoiceLine
from metering.periods import Month


def parties(workspace: Workspace, profile: BillingProfile) -> dict[str, Any]:
    """Return seller and buyer as they are now."""
    return {
        "seller": dict(settings.SELLER),
        "buyer": {
            "name": profile.legal_name or workspace.name,
            "workspace": workspace.name,
            "address": profile.address,
            "country": profile.country,
            "vat_number": profile.vat_number,
            "email": profile.email,
        },
        "language": profile.language,
        "reverse_charge": profile.reverse_charge,
    }


def describe(line: Line, *, language: str) -> str:
    """Return a line in words, in the customer's language."""
    with translation.override(language):
        return _WORDS[line.kind](line)[:300]


def describe_together(line: InvoiceLine, *, agents: int) -> str:
    """Return in words the lines of so many agents of the kind and plan of ``line``, in the active language."""
    texts = {
        Kind.PLAN.value: ngettext("%(plan)s, %(count)s agent", "%(plan)s, %(count)s agents", agents),
        Kind.OVERAGE.value: ngettext("Beyond %(plan)s, %(count)s agent", "Beyond %(plan)s, %(count)s agents", agents),
        Kind.LATE.value: ngettext(
            "Counted after its invoice, %(plan)s, %(count)s agent",
            "Counted after its invoice, %(plan)s, %(count)s agents",
            agents,
        ),
    }
    return texts[line.kind] % {"plan": plan(line.tier, on=line.month).name, "count": agents}


def tax_name(rate: Decimal) -> str:
    """Return the tax at a rate (percent) in words, in the active language: Tax 8.875%."""
    return _("Tax %(rate)s%%") % {"rate": number_format(rate.normalize())}


def month_name(month: str) -> str:
    """Return a month as people say it, in the active language: February 2026."""
    return date_format(Month.parse(month).start, "F Y")


def _hosting(line: Line) -> str:
    return _("Hosting, %(plan)s, %(month)s") % {"plan": line.name, "month": month_name(line.month)}


def _plan(line: Line) -> str:
    assert line.terms  # noqa: S101 — plan lines have them
    said = {"agent": line.name, "plan": line.terms.plan.name, "month": month_name(line.month)}
    if line.terms.whole:
        return _("%(agent)s: %(plan)s, %(month)s") % said
    days = {"days": line.terms.days, "all": line.terms.days_of_month}
    return _("%(agent)s: %(plan)s, %(month)s, %(days)s of %(all)s days") % {**said, **days}


def _overage(line: Line) -> str:
    said = {"agent": line.name, "tokens": number_format(line.quantity, force_grouping=True)}
    return _("%(agent)s: %(tokens)s tokens beyond the plan") % said


def _late(line: Line) -> str:
    said = {"agent": line.name, "tokens": number_format(line.quantity, force_grouping=True)}
    said["month"] = month_name(line.month)
    return _("%(agent)s: %(tokens)s tokens of %(month)s, counted after its invoice") % said


def _credit(line: Line) -> str:
    return _("Credit: %(reason)s") % {"reason": line.name}


_WORDS = {
    Kind.HOSTING: _hosting,
    Kind.PLAN: _plan,
    Kind.OVERAGE: _overage,
    Kind.LATE: _late,
    Kind.CREDIT: _credit,
}
