"""The e-mail that an invoice comes with, the document attached."""

from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from agents.mail import letter
from agents.models import Member, Role
from billing.documents.content import money
from billing.documents.pdf import invoice_pdf
from billing.gateways.base import State
from billing.grace import Step
from billing.models import Invoice, Status
from billing.owing import owing
from billing.payments import PaymentAccount
from billing.snapshots import month_name

log = structlog.get_logger(__name__)

# What couldn't be sent for so long isn't news any more.
NEWS: Final = timedelta(days=7)


def send_waiting(*, at: datetime) -> int:
    """Send the invoices that were issued and not sent yet; return how many were.

    One that can't be sent waits for the next time. A crash between sending and noting it sends one a second time.
    """
    waiting = Invoice.objects.issued().filter(mailed_at=None, finalized_at__gt=at - NEWS).order_by("number")
    return sum(_send_once(pk, at=at) for pk in waiting.values_list("pk", flat=True))


def _send_once(pk: UUID, *, at: datetime) -> bool:
    with transaction.atomic():
        # Whoever else is about to send it holds the row.
        held = Invoice.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=pk, mailed_at=None).first()
        if held is None:
            return False
        try:
            send(held)
        except (SMTPException, OSError) as error:
            log.warning("invoice_not_sent", invoice=str(held), error=type(error).__name__)
            return False
        held.mailed_at = at
        held.save(update_fields=["mailed_at"])
        return True


def send(invoice: Invoice) -> None:
    """Send an issued invoice to whoever the workspace's invoices go to.

    Raises:
        SMTPException, OSError: when the mail server doesn't take it.
    """
    with translation.override(invoice.snapshot["language"]):
        account = PaymentAccount.objects.filter(pk=invoice.workspace_id).first()
        said = {
            "invoice": invoice,
            "total": money(invoice.total),
            "method": account.method if account else "",
            "month": month_name(str(invoice.month)),
            "url": settings.SITE_URL + reverse("billing:invoice", args=[invoice.pk]),
        }
        text = render_to_string("billing/email/invoice.txt", said)
        subject = _("Invoice %(number)s: %(total)s for %(month)s") % {**said, "number": invoice.number}
        message = letter(subject=subject, text=text, to=recipients(invoice))
        message.attach(f"{invoice}.pdf", invoice_pdf(invoice), "application/pdf")
        message.send()


def remind(account: PaymentAccount, step: Step) -> None:
    """Tell whoever the workspace's invoices go to that one isn't paid, and what that will mean.

    Raises:
        SMTPException, OSError: when the mail server doesn't take it.
    """
    unpaid = Invoice.objects.filter(workspace=account.workspace, status=Status.FINALIZED, sent__state=State.OPEN)
    invoice, now = unpaid.order_by("due_at").first(), owing(account)
    if invoice is None or now is None:
        return
    with translation.override(invoice.snapshot["language"]):
        said = {
            "invoice": invoice,
            "total": money(invoice.due),
            "failed": invoice.sent.failed_at,
            "paused": step == Step.PAUSED,
            "day": now.pauses_at(),
            "url": settings.SITE_URL + reverse("billing:invoice", args=[invoice.pk]),
        }
        text = render_to_string("billing/email/owing.txt", said)
        if step == Step.PAUSED:
            subject = _("Your agents on a plan are paused: %(total)s isn’t paid") % said
        else:
            subject = _("Invoice %(invoice)s over %(total)s isn’t paid yet") % said
        letter(subject=subject, text=text, to=recipients(invoice)).send()


def recipients(invoice: Invoice) -> list[str]:
    """Return where an invoice goes: the address given for invoices, or else those who see to billing and own it."""
    if given := invoice.snapshot["buyer"]["email"]:
        return [given]
    people = Member.objects.filter(workspace=invoice.workspace, role__in=[Role.OWNER, Role.BILLING])
    return list(people.order_by("created_at", "pk").values_list("user__email", flat=True))
