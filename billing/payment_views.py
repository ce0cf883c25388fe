"""The pages of payments: how a customer pays, and paying an invoice now."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from agents.access import manages_billing, member_of
from agents.models import Workspace
from billing import owing, settling
from billing.gateways import gateway
from billing.gateways.base import Declined, GatewayError, State
from billing.mail import remind
from billing.models import Invoice

STRIPES_PAGES: Final = ("https://checkout.stripe.com", "https://billing.stripe.com")

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def leads_to_payment(view: View[P]) -> View[P]:
    """Let the forms of a page lead on to the gateway's pages: browsers hold redirects to the policy too."""

    @wraps(view)
    def wider(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        answer = view(request, *args, **kwargs)
        base = urlsplit(settings.STRIPE_API_BASE)
        hosts = [f"{base.scheme}://{base.netloc}"] if base.netloc else list(STRIPES_PAGES)
        if settings.STRIPE_SECRET_KEY:
            answer._csp_update = {"form-action": hosts}  # type: ignore[attr-defined]
        return answer

    return wider


def how_paid(workspace: Workspace) -> dict[str, Any]:
    """Return what pages about invoices show of payments: whether we take them, and how this workspace pays."""
    return {"collects": gateway().collects, "account": settling.account_of(workspace)}


@require_POST
@manages_billing
def payment_method(request: HttpRequest) -> HttpResponse:
    """Lead to the page that asks for a way to pay, or, where there is one already, to the one that changes it."""
    workspace, taker = member_of(request).workspace, gateway()
    back = request.build_absolute_uri(reverse("billing:back_from_payment_method"))
    try:
        account = settling.registered(workspace, taker)
        to = taker.page_of_methods if account.method_id else taker.page_to_add_method
        return redirect(to(account.customer_id or "", back=back))
    except GatewayError:
        messages.error(request, _("We couldn’t reach our payment service. Try again in a moment."))
        return redirect("billing:billing")


@require_GET
@manages_billing
def back_from_payment_method(request: HttpRequest) -> HttpResponse:
    """Take over what the customer pays with now."""
    workspace = member_of(request).workspace
    before = settling.account_of(workspace).method_id
    try:
        account = settling.refresh_method(workspace)
    except GatewayError:
        messages.warning(request, _("We’ll show your payment method here as soon as our payment service tells us."))
        return redirect("billing:billing")
    if account.method_id and account.method_id != before:
        messages.success(request, _("Saved. From now on we charge %(method)s.") % {"method": account.method})
    return redirect("billing:billing")


@require_POST
@manages_billing
def pay(request: HttpRequest, invoice_id: UUID) -> HttpResponse:
    """Charge an open invoice now."""
    invoice = get_object_or_404(Invoice.objects.issued(), pk=invoice_id, workspace=member_of(request).workspace)
    now = timezone.now()
    try:
        state = settling.pay(invoice_id=invoice.pk, at=now)
        owing.review(workspace_id=invoice.workspace_id, at=now, tell=remind)
        _say(request, state)
    except settling.Busy:
        messages.info(request, _("This payment is under way already."))
    except Declined:
        messages.error(request, _("Your bank said no. Choose another way to pay, or ask your bank."))
    except GatewayError:
        messages.error(request, _("We couldn’t reach our payment service. Look here again in a moment."))
    return redirect("billing:invoice", invoice.pk)


def _say(request: HttpRequest, state: State | None) -> None:
    if state == State.PAID:
        messages.success(request, _("Paid. Thank you."))
    elif state is None:
        messages.info(request, _("This invoice can’t be charged now."))
    else:
        messages.info(request, _("Your bank hasn’t confirmed this payment yet. We’ll show it here as soon as it has."))
