"""The staff's view of billing: invoices to look at and to correct with a reason, prices that gain rows, and revenue."""

from collections.abc import Callable
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from agents.admin import Operated, ReadOnly
from agents.models import User
from billing import services
from billing.close_views import close_page
from billing.documents import e_invoice, files
from billing.documents.content import money
from billing.earnings_view import earnings_page
from billing.invoicing import NOTHING
from billing.models import (
    BillingProfile,
    Credit,
    CreditNote,
    HostingChoice,
    HostingPlan,
    Invoice,
    InvoiceLine,
    Status,
)
from billing.payments_admin import SentInline
from billing.staff_forms import HostingForm, ProfileForm
from billing.staff_views import correct_page, revenue_page
from metering.periods import Month

STATUS_LABELS: Final = {
    Status.DRAFT: "info",
    Status.FINALIZED: "warning",
    Status.PAID: "success",
    Status.VOID: "",
    Status.UNCOLLECTIBLE: "danger",
}


AT_ONCE: Final = 200  # documents that somebody waits for: about 0.1 s each


class LinesInline(ReadOnly, TabularInline):  # type: ignore[misc]
    """What the invoice is made of."""

    model = InvoiceLine
    fields = readonly_fields = ("description", "tier", "quantity", "unit_price", "amount", "tokens", "records")
    extra = 0
    hide_title = True


class CreditNotesInline(ReadOnly, TabularInline):  # type: ignore[misc]
    """What took it back."""

    model = CreditNote
    fields = readonly_fields = ("number", "issued_at", "total", "reason", "issued_by")
    extra = 0
    hide_title = True


class MonthFilter(admin.SimpleListFilter):
    """Invoices by month."""

    title = gettext_lazy("month")
    parameter_name = "month"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """Return the months that there are invoices of."""
        starts = Invoice.objects.order_by("-period_start").values_list("period_start", flat=True).distinct()
        return [(str(Month.of(start)), str(Month.of(start))) for start in starts[:24]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:  # noqa: ARG002
        """Keep the month asked for."""
        asked = self.value()
        try:
            return queryset.filter(period_start=Month.parse(asked).start) if asked else queryset
        except ValueError as error:
            raise IncorrectLookupParameters from error


@admin.register(Invoice)
class InvoiceAdmin(Operated, ModelAdmin):  # type: ignore[misc]
    """Invoices. Nobody edits one: it is issued, marked as paid, or corrected with a reason."""

    list_display = ("__str__", "workspace", "of_month", "state", "subtotal", "tax", "total", "finalized_at", "paid_at")
    list_filter = ("status", MonthFilter, "finalized_at")
    list_select_related = ("workspace",)
    search_fields = ("id__exact", "number", "workspace__name", "workspace__id__exact")
    search_help_text = gettext_lazy("Number, workspace, or id")
    fields = (
        *("workspace", "number", "status", "period_start", "period_end", "currency", "subtotal", "tax", "total"),
        *("made_out_to", "for_programs", "finalized_at", "due_at", "paid_at", "closed_at", "mailed_at"),
    )
    inlines = (LinesInline, CreditNotesInline, SentInline)
    actions = ("sum_up", "issue", "paid", "export_xlsx", "export_csv", "export_pdf")
    actions_detail = ("correct", "pdf")

    @admin.display(description=gettext_lazy("made out to"))
    def made_out_to(self, invoice: Invoice) -> str:
        """Return the customer as it was when the invoice was drawn up."""
        buyer = invoice.snapshot["buyer"]
        parts = (*buyer["address"].splitlines(), buyer["country"], buyer["vat_number"], buyer["email"])
        return ", ".join(filter(None, (buyer["name"], *parts)))

    @admin.display(description=gettext_lazy("e-invoice"))
    def for_programs(self, invoice: Invoice) -> str:
        """Return whether the PDF has Factur-X inside, and if not, why."""
        if missing := e_invoice.lacks(invoice):
            return _("No. Missing: %(missing)s.") % {"missing": ", ".join(missing)}
        return _("In the PDF: Factur-X, EN 16931") if e_invoice.of_invoice(invoice) else _("No")

    @admin.display(description=gettext_lazy("month"), ordering="period_start")
    def of_month(self, invoice: Invoice) -> str:
        """Return the month that it is of."""
        return str(invoice.month)

    @display(description=gettext_lazy("status"), label=STATUS_LABELS)  # type: ignore[untyped-decorator]
    def state(self, invoice: Invoice) -> tuple[str, str]:
        """Return where it is in its life."""
        return invoice.status, invoice.get_status_display()

    @admin.action(description=gettext_lazy("Sum up the selected invoices"))
    def sum_up(self, request: HttpRequest, invoices: QuerySet[Invoice]) -> None:
        """Say what they come to."""
        sums = invoices.order_by().aggregate(subtotal=Sum("subtotal"), tax=Sum("tax"), total=Sum("total"))
        count = invoices.count()
        said = ngettext(
            "%(count)d invoice: %(subtotal)s and %(tax)s tax, %(total)s together.",
            "%(count)d invoices: %(subtotal)s and %(tax)s tax, %(total)s together.",
            count,
        )
        amounts = {name: money(amount or NOTHING) for name, amount in sums.items()}
        messages.info(request, said % {"count": count, **amounts})

    @admin.action(description=gettext_lazy("Issue the selected drafts"), permissions=["operate"])
    def issue(self, request: HttpRequest, invoices: QuerySet[Invoice]) -> None:
        """Give them their numbers, if their month can't get records any more."""
        drafts = invoices.filter(status=Status.DRAFT)
        self._each(request, drafts, lambda each: services.finalize(invoice=each, at=timezone.now(), by=staff(request)))

    @admin.action(description=gettext_lazy("Mark the selected invoices as paid"), permissions=["operate"])
    def paid(self, request: HttpRequest, invoices: QuerySet[Invoice]) -> None:
        """Note that they were paid outside."""
        self._each(
            request, invoices, lambda each: services.mark_paid(invoice=each, at=timezone.now(), by=staff(request))
        )

    @admin.action(description=gettext_lazy("Export the selected invoices as XLSX"))
    def export_xlsx(self, request: HttpRequest, invoices: QuerySet[Invoice]) -> HttpResponse:  # noqa: ARG002
        """Give them as a workbook."""
        return files.workbook(list(invoices.prefetch_related("lines", "credit_notes")))

    @admin.action(description=gettext_lazy("Export the selected invoices as CSV"))
    def export_csv(self, request: HttpRequest, invoices: QuerySet[Invoice]) -> HttpResponse:  # noqa: ARG002
        """Give their lines."""
        return files.invoices_csv(list(invoices.prefetch_related("lines")))

    @admin.action(description=gettext_lazy("Export the selected invoices as PDF, in a ZIP"))
    def export_pdf(self, request: HttpRequest, invoices: QuerySet[Invoice]) -> HttpResponse | None:
        """Give the documents, with credit notes."""
        if invoices.count() > AT_ONCE:
            messages.warning(
                request, _("At most %(count)d at once. For more: manage.py export_invoices.") % {"count": AT_ONCE}
            )
            return None
        return files.bundle(list(invoices.prefetch_related("lines", "credit_notes")))

    @action(description=gettext_lazy("Correct"), url_path="correct", permissions=["operate"])  # type: ignore[untyped-decorator]
    def correct(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take it back, give it up or credit it, with a reason."""
        return correct_page(request, self, object_id)

    @action(description=gettext_lazy("PDF"), url_path="pdf", permissions=["look"])  # type: ignore[untyped-decorator]
    def pdf(self, request: HttpRequest, object_id: str) -> HttpResponse:  # noqa: ARG002
        """Give it as PDF."""
        return files.invoice_pdf(get_object_or_404(Invoice, pk=object_id))

    def has_operate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:  # noqa: ARG002
        """Tell whether this member of staff may use the actions."""
        return super().has_operate_permission(request)

    def has_look_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:  # noqa: ARG002
        """Tell whether this member of staff may see documents."""
        return bool(self.has_view_permission(request))

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of revenue, of margins, and of a month's close."""
        return [
            path("revenue/", self._page(revenue_page), name="billing_revenue"),
            path("margins/", self._page(earnings_page), name="billing_earnings"),
            path("close/", self._page(close_page), name="billing_close"),
            *super().get_urls(),
        ]

    def _page(self, page: Callable[..., HttpResponse]) -> Any:
        return self.admin_site.admin_view(lambda request: page(request, self))

    def _each(self, request: HttpRequest, invoices: QuerySet[Invoice], do: Callable[[Invoice], object]) -> None:
        done = 0
        for invoice in invoices:
            try:
                done += bool(do(invoice))
            except ValidationError as error:
                messages.warning(request, f"{invoice}: {error.messages[0]}")
        messages.success(request, _("Done: %(count)d.") % {"count": done})


@admin.register(CreditNote)
class CreditNoteAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Credit notes. They are written on an invoice's page."""

    list_display = ("number", "invoice", "total", "reason", "issued_by", "issued_at")
    list_filter = ("issued_at",)
    list_select_related = ("invoice",)
    search_fields = ("number", "invoice__number", "invoice__workspace__name")
    fields = ("number", "invoice", "subtotal", "tax", "total", "reason", "issued_by", "issued_at")
    actions_detail = ("pdf",)

    @action(description=gettext_lazy("PDF"), url_path="pdf", permissions=["look"])  # type: ignore[untyped-decorator]
    def pdf(self, request: HttpRequest, object_id: str) -> HttpResponse:  # noqa: ARG002
        """Give it as PDF."""
        return files.credit_note_pdf(get_object_or_404(CreditNote, pk=object_id))

    def has_look_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:  # noqa: ARG002
        """Tell whether this member of staff may see documents."""
        return bool(self.has_view_permission(request))


@admin.register(HostingPlan)
class HostingPlanAdmin(ModelAdmin):  # type: ignore[misc]
    """What hosting costs from which month on. A price that a month was billed with stays; a new one is a new row."""

    list_display = ("name", "code", "fee", "from_day")
    ordering = ("code", "-from_day")

    def has_change_permission(self, request: HttpRequest, obj: HostingPlan | None = None) -> bool:
        """Refuse for prices in force."""
        return self._ahead(obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: HostingPlan | None = None) -> bool:
        """Refuse for prices in force."""
        return self._ahead(obj) and bool(super().has_delete_permission(request, obj))

    @staticmethod
    def _ahead(row: HostingPlan | None) -> bool:
        return row is None or row.from_day > timezone.now().date()


@admin.register(HostingChoice)
class HostingChoiceAdmin(ModelAdmin):  # type: ignore[misc]
    """Which workspace is on which hosting plan, from which month on."""

    form = HostingForm
    list_display = ("workspace", "code", "from_day")
    list_filter = ("code",)
    autocomplete_fields = ("workspace",)
    search_fields = ("workspace__name",)


@admin.register(BillingProfile)
class BillingProfileAdmin(ModelAdmin):  # type: ignore[misc]
    """Who pays, and with which tax."""

    form = ProfileForm
    list_display = ("workspace", "legal_name", "country", "vat_number", "tax", "reverse_charge")
    list_filter = ("reverse_charge", "country")
    list_select_related = ("workspace",)
    search_fields = ("workspace__name", "legal_name", "vat_number")
    autocomplete_fields = ("workspace",)

    @admin.display(description=gettext_lazy("tax"))
    def tax(self, profile: BillingProfile) -> str:
        """Return the rate of its invoices."""
        return _("%(number)s%%") % {"number": number_format(profile.tax_rate.normalize())}


@admin.register(Credit)
class CreditAdmin(ModelAdmin):  # type: ignore[misc]
    """Credits. Granted once, used up by invoices."""

    list_display = ("workspace", "amount", "reason", "granted_by", "created_at")
    list_select_related = ("workspace",)
    search_fields = ("workspace__name", "reason")
    autocomplete_fields = ("workspace",)
    fields = ("workspace", "amount", "reason")

    def has_change_permission(self, request: HttpRequest, obj: Credit | None = None) -> bool:  # noqa: ARG002
        """Refuse: invoices may have used it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Credit | None = None) -> bool:  # noqa: ARG002
        """Refuse: see above."""
        return False

    def save_model(self, request: HttpRequest, obj: Credit, form: Any, change: bool) -> None:  # noqa: ARG002
        """Grant it."""
        granted = services.grant_credit(
            workspace=obj.workspace, amount=obj.amount, reason=obj.reason, by=staff(request)
        )
        obj.pk = granted.pk


def staff(request: HttpRequest) -> User:
    """Return who is asking; the site has made sure that it is a member of staff."""
    assert isinstance(request.user, User)  # noqa: S101
    return request.user
