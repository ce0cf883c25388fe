"""The staff's view of payments: what invoices and customers are called at Stripe, and what is wrong with them."""

from typing import Any, Final

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin, StackedInline
from unfold.decorators import display

from agents.admin import Operated, ReadOnly
from billing import settling
from billing.gateways.base import State
from billing.payments import PaymentAccount, SentInvoice, StripeEvent

DASHBOARD: Final = "https://dashboard.stripe.com"
STATE_LABELS: Final = {
    State.DRAFT: "info",
    State.OPEN: "warning",
    State.PAID: "success",
    State.VOID: "",
    State.UNCOLLECTIBLE: "danger",
}


def at_stripe(kind: str, stripe_id: str | None) -> SafeString | str:
    """Return an id as a link to Stripe's dashboard."""
    if not stripe_id:
        return "–"
    test = "" if "_live_" in settings.STRIPE_SECRET_KEY else "/test"
    address = f"{DASHBOARD}{test}/{kind}/{stripe_id}"
    return format_html(
        '<a href="{}" rel="noopener" class="text-primary-600 dark:text-primary-500">{}</a>', address, stripe_id
    )


class Troubled(admin.SimpleListFilter):
    """Invoices that aren't at Stripe as they are here."""

    title = gettext_lazy("problem")
    parameter_name = "problem"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """Return the one choice."""
        return [("yes", _("With a problem"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[SentInvoice]) -> QuerySet[SentInvoice]:  # noqa: ARG002
        """Keep those."""
        return queryset.exclude(problem="") if self.value() else queryset


class SentInline(ReadOnly, StackedInline):  # type: ignore[misc]
    """What became of an invoice at Stripe."""

    model = SentInvoice
    verbose_name_plural = gettext_lazy("At Stripe")
    hide_title = True
    fields = readonly_fields = (
        *("there", "state", "due", "paid", "automatic", "attempts", "failed_at", "next_attempt_at"),
        *("processing", "outside", "problem", "looked_at"),
    )
    extra = 0

    @admin.display(description=gettext_lazy("invoice at Stripe"))
    def there(self, sent: SentInvoice) -> SafeString | str:
        """Return a link to it."""
        return at_stripe("invoices", sent.stripe_id)


@admin.register(SentInvoice)
class SentInvoiceAdmin(Operated, ModelAdmin):  # type: ignore[misc]
    """Invoices at Stripe. Nobody edits one; settling brings it and ours together."""

    list_display = ("invoice", "workspace", "standing", "total", "due", "paid", "problem", "looked_at")
    list_filter = ("state", Troubled, "automatic")
    list_select_related = ("invoice__workspace",)
    search_fields = ("stripe_id", "invoice__number", "invoice__workspace__name")
    fields = ("invoice", "total", *SentInline.fields)
    readonly_fields = ("there",)
    actions = ("settle",)
    ordering = ("-invoice__finalized_at",)

    there = SentInline.there

    @admin.display(description=gettext_lazy("workspace"))
    def workspace(self, sent: SentInvoice) -> str:
        """Return whose it is."""
        return str(sent.invoice.workspace)

    @display(description=gettext_lazy("state at Stripe"), label=STATE_LABELS)  # type: ignore[untyped-decorator]
    def standing(self, sent: SentInvoice) -> tuple[str, str]:
        """Return where it is in its life there."""
        return sent.state, sent.state or "–"

    @admin.action(description=gettext_lazy("Settle the selected invoices"), permissions=["operate"])
    def settle(self, request: HttpRequest, chosen: QuerySet[SentInvoice]) -> None:
        """Bring them and ours together now."""
        settled = 0
        for sent in chosen:
            try:
                settled += settling.settle(invoice_id=sent.pk, at=timezone.now())
            except settling.Busy:
                messages.info(request, _("%(invoice)s is being settled already.") % {"invoice": sent.invoice})
        messages.success(request, _("Done: %(count)d.") % {"count": settled})


@admin.register(PaymentAccount)
class PaymentAccountAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Workspaces as Stripe's customers, and those that owe."""

    list_display = ("workspace", "there", "method", "owing_since", "told")
    list_filter = (("owing_since", admin.EmptyFieldListFilter),)
    list_select_related = ("workspace",)
    search_fields = ("customer_id", "workspace__name")
    fields = readonly_fields = ("workspace", "there", "method", "owing_since", "told", "told_at")

    @admin.display(description=gettext_lazy("customer at Stripe"))
    def there(self, account: PaymentAccount) -> SafeString | str:
        """Return a link to the customer."""
        return at_stripe("customers", account.customer_id)


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """What Stripe told us."""

    list_display = ("id", "type", "invoice_id", "customer_id", "received_at", "handled_at")
    list_filter = ("type", ("handled_at", admin.EmptyFieldListFilter))
    search_fields = ("id", "invoice_id", "customer_id")
