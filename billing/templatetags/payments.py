"""How it stands with paying an invoice, in words."""

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from billing.models import Invoice, Status

register = template.Library()


@register.filter
def payment_said(invoice: Invoice) -> str:
    """Return how it stands with an open invoice; nothing where its status says all."""
    sent = getattr(invoice, "sent", None)
    if invoice.status != Status.FINALIZED or sent is None or invoice.due_at is None:
        return ""
    if sent.processing:
        return _("Your bank is seeing to the payment. That can take some days.")
    if sent.failed_at and sent.next_attempt_at:
        day = date_format(sent.next_attempt_at)
        return _("The payment failed. It is tried again on %(day)s.") % {"day": day}
    if sent.failed_at:
        return _("The payment failed.")
    if sent.automatic:
        return _("Your payment method is being charged.")
    if invoice.due_at <= timezone.now():
        return _("Overdue since %(day)s.") % {"day": date_format(invoice.due_at)}
    return _("To be paid by %(day)s.") % {"day": date_format(invoice.due_at)}


@register.filter
def payment_look(invoice: Invoice) -> str:
    """Return the look of the notice that says so."""
    sent = getattr(invoice, "sent", None)
    if sent is None or sent.processing or invoice.due_at is None:
        return ""
    if sent.failed_at:
        return "bad"
    return "warn" if not sent.automatic and invoice.due_at <= timezone.now() else ""
