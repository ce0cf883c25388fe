"""What is billed: hosting plans, who pays, invoices and what corrects them. Money is in whole cents in every table."""

import uuid
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, Final, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from agents.fields import CentsField
from agents.models import Workspace
from billing import payments  # noqa: F401 — Django looks for tables here
from billing.invoicing import Kind
from metering.fields import UsdField
from metering.periods import Month

USUAL_HOSTING: Final = "cloud"
PPM_IN_PERCENT: Final = 10_000


class Frozen(TypeError):
    """What has left the house never changes; a credit note corrects it."""


# --- Hosting ------------------------------------------------------------------------------------


class HostingPlan(models.Model):
    """What hosting costs a month from a day on. A new price is a new row: past months keep theirs."""

    USUAL = (("self-hosted", "Self-hosted", Decimal("0.00")), (USUAL_HOSTING, "Cloud", Decimal("180.00")))

    code = models.SlugField(max_length=20)
    name = models.CharField(_("name"), max_length=60)
    fee = CentsField(_("fee a month, in USD"))
    from_day = models.DateField(_("from"), help_text=_("The first of a month."))

    class Meta:
        ordering = ["code", "-from_day"]
        constraints = [
            models.UniqueConstraint(fields=["code", "from_day"], name="one_hosting_price_a_day"),
            models.CheckConstraint(condition=Q(fee__gte=0), name="hosting_fee_not_negative"),
            models.CheckConstraint(condition=Q(from_day__day=1), name="hosting_prices_change_with_a_month"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ${self.fee}"

    @classmethod
    def offer_usual(cls) -> None:
        """Offer the usual plans where there are none yet."""
        if not cls.objects.exists():
            day = date(2026, 2, 1)
            usual = [HostingPlan(code=code, name=name, fee=fee, from_day=day) for code, name, fee in cls.USUAL]
            HostingPlan.objects.bulk_create(usual, ignore_conflicts=True)


class HostingChoice(models.Model):
    """From which month on a workspace is on which hosting plan. Without one it's on the usual one."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="hosting_choices")
    code = models.SlugField(max_length=20)
    from_day = models.DateField()

    class Meta:
        ordering = ["-from_day"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "from_day"], name="one_hosting_choice_a_month"),
            models.CheckConstraint(condition=Q(from_day__day=1), name="hosting_changes_with_a_month"),
        ]

    def __str__(self) -> str:
        return f"{self.code} from {self.from_day}"


# --- Who pays -----------------------------------------------------------------------------------


class BillingProfile(models.Model):
    """Who an invoice is made out to, and with which tax."""

    workspace = models.OneToOneField(
        Workspace, on_delete=models.CASCADE, primary_key=True, related_name="billing_profile"
    )
    legal_name = models.CharField(_("company name"), max_length=120, blank=True)
    address = models.TextField(_("address"), max_length=400, blank=True)
    country = models.CharField(_("country"), max_length=2, blank=True)
    vat_number = models.CharField(_("VAT number"), max_length=20, blank=True)
    email = models.EmailField(_("e-mail address for invoices"), blank=True)
    language = models.CharField(_("language of invoices"), max_length=5, default="en")
    tax_ppm = models.PositiveIntegerField(_("tax rate, in millionths"), default=0)
    reverse_charge = models.BooleanField(_("reverse charge"), default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(tax_ppm__lte=1_000_000), name="tax_at_most_everything"),
            models.CheckConstraint(
                condition=Q(reverse_charge=False) | ~Q(vat_number=""), name="reverse_charge_needs_a_vat_number"
            ),
        ]

    def __str__(self) -> str:
        return self.legal_name or str(self.workspace)

    @property
    def tax_rate(self) -> Decimal:
        """The rate that invoices have, in percent."""
        return Decimal(0) if self.reverse_charge else Decimal(self.tax_ppm) / PPM_IN_PERCENT


class Credit(models.Model):
    """What staff granted a workspace. Invoices use it up; what is left is computed from their lines."""

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="credits")
    amount = CentsField(_("amount, in USD"))
    reason = models.CharField(_("reason, as the invoice says it"), max_length=120)
    granted_by = models.CharField(max_length=254, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="credit_positive")]

    def __str__(self) -> str:
        return f"${self.amount} {self.reason}"


# --- Invoices -----------------------------------------------------------------------------------


class NumberCounter(models.Model):
    """The last number given out in a series and year. Whoever takes the next holds the row until they're done."""

    series = models.CharField(max_length=10)
    year = models.PositiveSmallIntegerField()
    last = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["series", "year"], name="one_counter_a_series_and_year")]

    def __str__(self) -> str:
        return f"{self.series} {self.year}: {self.last}"


class Status(models.TextChoices):
    """Where an invoice is in its life."""

    DRAFT = "draft", _("Draft")
    FINALIZED = "finalized", _("Open")
    PAID = "paid", _("Paid")
    VOID = "void", _("Void")
    UNCOLLECTIBLE = "uncollectible", _("Uncollectible")


class InvoiceQuerySet(models.QuerySet["Invoice"]):
    """Invoices by what they stand for."""

    def issued(self) -> Self:
        """Leave out drafts."""
        return self.exclude(status=Status.DRAFT)

    def standing(self) -> Self:
        """Keep those that were issued and weren't taken back."""
        return self.exclude(status__in=[Status.DRAFT, Status.VOID])


class Invoice(models.Model):
    """A workspace's month. Once it has a number, only its status moves on."""

    # What still changes on an invoice that was issued.
    MOVES = frozenset({"status", "paid_at", "closed_at", "mailed_at"})

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="invoices")
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    status = models.CharField(max_length=15, choices=Status, default=Status.DRAFT)
    number = models.CharField(max_length=20, null=True, unique=True)  # drafts have none
    currency = models.CharField(max_length=3, default="USD")
    subtotal = CentsField()
    tax = CentsField()
    total = CentsField()
    tax_ppm = models.PositiveIntegerField()
    snapshot = models.JSONField()  # who sells, who buys, as they were called and lived
    mark = models.BigIntegerField()  # what the meter stored before it is in here (metering.store)
    created_at = models.DateTimeField(auto_now_add=True)
    finalized_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)

    objects = InvoiceQuerySet.as_manager()

    class Meta:
        ordering = ["-period_start", "-created_at"]
        permissions = [("close_month", "Can close months, and see what they come to")]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "period_start"], condition=~Q(status=Status.VOID), name="one_invoice_a_month"
            ),
            models.CheckConstraint(condition=Q(status__in=Status.values), name="invoice_status_known"),
            models.CheckConstraint(
                condition=Q(status=Status.DRAFT, number=None) | (~Q(status=Status.DRAFT) & ~Q(number=None)),
                name="issued_invoices_have_a_number",
            ),
            models.CheckConstraint(condition=Q(total=F("subtotal") + F("tax")), name="invoice_adds_up"),
            models.CheckConstraint(condition=Q(total__gte=0), name="invoice_not_negative"),
            models.CheckConstraint(condition=Q(period_end__gt=F("period_start")), name="invoice_period_forward"),
        ]
        indexes = [
            models.Index(fields=["status", "period_start"], name="invoices_by_status"),
            models.Index(fields=["finalized_at"], condition=Q(mailed_at=None), name="invoices_to_mail"),
        ]

    def __str__(self) -> str:
        return self.number or f"draft of {self.month}"

    def save(self, *, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Save a draft; of an issued invoice, only what moves.

        Raises:
            Frozen: for anything else.
        """
        issued = not self._state.adding and self.number is not None
        if issued and not (update_fields and set(update_fields) <= self.MOVES):
            raise Frozen(f"invoice {self.number} was issued: correct it with a credit note")
        super().save(update_fields=update_fields, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Throw a draft away.

        Raises:
            Frozen: for an invoice that was issued.
        """
        if self.number is not None:
            raise Frozen(f"invoice {self.number} was issued: void it")
        return super().delete(*args, **kwargs)

    @property
    def month(self) -> Month:
        """The calendar month that it is of."""
        return Month.of(self.period_start)

    @property
    def tax_rate(self) -> Decimal:
        """The tax rate, in percent."""
        return Decimal(self.tax_ppm) / PPM_IN_PERCENT

    @property
    def credited(self) -> Decimal:
        """What credit notes took back of its total."""
        return sum((note.total for note in self.credit_notes.all()), Decimal("0.00"))

    @property
    def due(self) -> Decimal:
        """What is left to pay."""
        return self.total - self.credited if self.status == Status.FINALIZED else Decimal("0.00")


class InvoiceLine(models.Model):
    """One line of an invoice, with the digest of the meter's records behind it (``billing.evidence``)."""

    KINDS: Final = [(kind.value, kind.value) for kind in Kind]

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=KINDS)
    month = models.DateField()
    description = models.CharField(max_length=300)
    name = models.CharField(max_length=120)  # the agent's, the hosting plan's, or the reason of a credit
    agent_id = models.UUIDField(null=True, blank=True)  # no foreign key: an invoice outlives what it is of
    tier = models.CharField(max_length=20, blank=True)
    quantity = models.BigIntegerField(default=0)  # tokens charged for
    unit_price = UsdField()  # a million tokens, or the whole fee
    amount = CentsField()
    tokens = models.BigIntegerField(default=0)  # that the agent used in the month
    included_tokens = models.BigIntegerField(default=0)
    credit = models.ForeignKey(Credit, on_delete=models.PROTECT, null=True, blank=True, related_name="lines")
    records = models.BigIntegerField(default=0)
    digest = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="one_line_a_position"),
            models.CheckConstraint(
                condition=Q(kind=Kind.CREDIT.value, amount__lt=0) | (~Q(kind=Kind.CREDIT.value) & Q(amount__gte=0)),
                name="only_credits_are_negative",
            ),
        ]
        indexes = [models.Index(fields=["agent_id", "month"], name="lines_of_agent")]

    def __str__(self) -> str:
        return self.description

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert.

        Raises:
            Frozen: for a line that is there already; drafts are written anew.
        """
        if not self._state.adding:
            raise Frozen("lines never change")
        super().save(*args, **kwargs)

    @property
    def of_month(self) -> Month:
        """The month that it is of."""
        return Month(self.month.year, self.month.month)


class CreditNote(models.Model):
    """Takes an invoice back, in whole or in part."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="credit_notes")
    number = models.CharField(max_length=20, unique=True)
    reason = models.CharField(max_length=300)
    issued_by = models.CharField(max_length=254)
    issued_at = models.DateTimeField()
    subtotal = CentsField()
    tax = CentsField()
    total = CentsField()

    class Meta:
        ordering = ["issued_at"]
        constraints = [
            models.CheckConstraint(condition=Q(total=F("subtotal") + F("tax")), name="credit_note_adds_up"),
        ]

    def __str__(self) -> str:
        return self.number

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert.

        Raises:
            Frozen: for a note that is there already.
        """
        if not self._state.adding:
            raise Frozen(f"credit note {self.number} was issued")
        super().save(*args, **kwargs)


class CreditNoteLine(models.Model):
    """How much of a line a credit note takes back; the sign is the line's."""

    note = models.ForeignKey(CreditNote, on_delete=models.PROTECT, related_name="lines")
    line = models.ForeignKey(InvoiceLine, on_delete=models.PROTECT, related_name="credited_in")
    amount = CentsField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["note", "line"], name="a_line_once_a_credit_note")]

    def __str__(self) -> str:
        return f"{self.amount} of {self.line}"
