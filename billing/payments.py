"""How invoices are paid: what a workspace and its invoices are called at Stripe, and how far they got there."""

from typing import Final

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.fields import CentsField
from agents.models import Workspace

ID: Final = 80  # characters; Stripe's are shorter


class PaymentAccount(models.Model):
    """A workspace as a customer of Stripe's: how it pays, and since when it owes."""

    workspace = models.OneToOneField(
        Workspace, on_delete=models.PROTECT, primary_key=True, related_name="payment_account"
    )
    customer_id = models.CharField(_("customer at Stripe"), max_length=ID, null=True, unique=True)
    method_id = models.CharField(max_length=ID, blank=True)
    method = models.CharField(_("payment method"), max_length=80, blank=True)  # in words: Visa •••• 4242
    # Since when an invoice is overdue, or couldn't be charged, and what was said about it (billing.grace).
    owing_since = models.DateTimeField(_("owing since"), null=True, blank=True)
    told = models.PositiveSmallIntegerField(_("reminders sent"), default=0)
    told_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("payment method")
        verbose_name_plural = _("payment methods")
        indexes = [models.Index(fields=["owing_since"], condition=~Q(owing_since=None), name="accounts_that_owe")]

    def __str__(self) -> str:
        return f"{self.workspace} {self.customer_id or ''}".strip()


class SentInvoice(models.Model):
    """An invoice at Stripe: its id there, and what became of it when we last looked. Never deleted."""

    invoice = models.OneToOneField("billing.Invoice", on_delete=models.PROTECT, primary_key=True, related_name="sent")
    stripe_id = models.CharField(_("invoice at Stripe"), max_length=ID, null=True, unique=True)
    # Charged by itself, or sent with a link to pay. Decided once: a call made again must be the same call.
    automatic = models.BooleanField(default=False)
    state = models.CharField(_("state at Stripe"), max_length=15, blank=True)  # billing.gateways.base.State
    total = CentsField(default=0)
    due = CentsField(default=0)
    paid = CentsField(_("paid at Stripe"), default=0)
    url = models.URLField(max_length=1000, blank=True)
    # Of these Stripe counts its own, and the first.
    attempts = models.PositiveIntegerField(_("attempts to charge"), default=0)
    processing = models.BooleanField(_("with the bank"), default=False)
    charges = models.PositiveIntegerField(default=0)  # that we asked for and got an answer to
    outside = models.BooleanField(_("paid elsewhere"), default=False)
    failed_at = models.DateTimeField(_("first failed"), null=True, blank=True)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    collected_at = models.DateTimeField(null=True, blank=True)  # first charged, or sent
    looked_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(_("problem"), max_length=300, blank=True)  # for staff
    held_until = models.DateTimeField(null=True, blank=True)  # by whoever is at it

    class Meta:
        verbose_name = _("invoice at Stripe")
        verbose_name_plural = _("invoices at Stripe")
        indexes = [models.Index(fields=["state", "looked_at"], name="sent_invoices_to_look_at")]

    def __str__(self) -> str:
        return self.stripe_id or "-"


class SentCreditNote(models.Model):
    """A credit note at Stripe."""

    note = models.OneToOneField("billing.CreditNote", on_delete=models.PROTECT, primary_key=True, related_name="sent")
    stripe_id = models.CharField(max_length=ID, unique=True)

    def __str__(self) -> str:
        return self.stripe_id


class StripeEvent(models.Model):
    """What Stripe told us had happened. Kept by its id, so that hearing it twice is hearing it once."""

    id = models.CharField(primary_key=True, max_length=ID)
    type = models.CharField(max_length=80)
    # What it is about. The rest of what it says isn't believed, but looked up.
    invoice_id = models.CharField(max_length=ID, blank=True)
    customer_id = models.CharField(max_length=ID, blank=True)
    received_at = models.DateTimeField(auto_now_add=True)
    handled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-received_at"]
        indexes = [models.Index(fields=["received_at"], condition=Q(handled_at=None), name="events_to_handle")]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"
