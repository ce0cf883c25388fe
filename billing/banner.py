"""What every page says on top to a workspace that owes."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from agents.access import NoWorkspace, member_of
from agents.models import Member
from billing.grace import Step
from billing.owing import owing
from billing.payments import PaymentAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """``kind``: as notices have it. ``billing``: whether the reader may see to it."""

    kind: str
    text: str
    billing: bool


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Give every template ``owes``: what is to be said about unpaid invoices, or nothing."""
    return {"owes": SimpleLazyObject(lambda: _banner(request))}


def _banner(request: HttpRequest) -> Banner | None:
    if not settings.STRIPE_SECRET_KEY:
        return None
    try:
        member = member_of(request)
    except NoWorkspace:
        return None
    account = PaymentAccount.objects.filter(pk=member.workspace_id).exclude(owing_since=None).first()
    return _said(account, member) if account else None


def _said(account: PaymentAccount, member: Member) -> Banner | None:
    now = owing(account)
    if now is None or not (member.manages_billing or now.step == Step.PAUSED):
        return None
    if now.step == Step.PAUSED:
        text = _("Agents on a plan are paused, because an invoice isn’t paid. They go on as soon as it is.")
        return Banner(kind="bad", text=text, billing=member.manages_billing)
    text = _("An invoice isn’t paid yet. Agents on a plan go on until %(day)s; please pay it by then.")
    return Banner(kind="warn", text=text % {"day": date_format(now.pauses_at())}, billing=True)
