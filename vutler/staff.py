"""The staff's pages: Django's admin in unfold's clothes, entered through the site's own login."""

from collections.abc import Callable
from typing import Any, Final

from allauth.account.decorators import secure_admin_login
from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from unfold.sites import UnfoldAdminSite

# What unfold needs beyond the site's policy: Alpine evaluates the expressions in its attributes, and colours, htmx
# and Alpine's x-show are inline styles. Inline scripts stay forbidden.
CSP: Final = {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}


class StaffSite(UnfoldAdminSite):  # type: ignore[misc]
    """The admin: for staff only, who log in where everybody does, second factor included."""

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send whoever isn't logged in to the site's login, and refuse whoever isn't staff."""
        answer: HttpResponse = secure_admin_login(super().login)(request, extra_context)
        return answer

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        """Serve a page of the admin under its own, wider security policy."""
        return csp_replace(CSP)(super().admin_view(view, cacheable))


def navigation(request: HttpRequest) -> list[dict[str, Any]]:  # noqa: ARG001
    """Return the sidebar."""
    return [
        {
            "title": _("Customers"),
            "items": [
                _item(_("Workspaces"), "domain", "agents_workspace"),
                _item(_("People"), "person", "agents_user"),
                _item(_("Agents"), "smart_toy", "agents_agent"),
            ],
        },
        {
            "title": _("Managed"),
            "items": [
                _item(_("Routes"), "route", "llm_route", apart_from=("admin:llm_dry_run", "admin:llm_margins")),
                _item(_("Pool keys"), "vpn_key", "llm_poolkey"),
                _item(_("Dry run"), "alt_route", "llm_route", page="admin:llm_dry_run"),
                _item(_("Margins"), "percent", "llm_route", page="admin:llm_margins"),
                _item(_("Sudden use"), "e911_emergency", "llm_staffalert"),
            ],
        },
        {
            "title": _("Billing"),
            "items": [
                _item(
                    _("Invoices"),
                    "receipt_long",
                    "billing_invoice",
                    apart_from=("admin:billing_revenue", "admin:billing_earnings", "admin:billing_close"),
                ),
                _item(
                    _("Close of a month"),
                    "fact_check",
                    "billing_invoice",
                    page="admin:billing_close",
                    can="close_month",
                ),
                _item(_("Payments"), "payments", "billing_sentinvoice"),
                _item(_("Credit notes"), "undo", "billing_creditnote"),
                _item(_("Credits"), "redeem", "billing_credit"),
                _item(_("Who pays"), "badge", "billing_billingprofile"),
                _item(_("Payment methods"), "credit_card", "billing_paymentaccount"),
                _item(_("Hosting prices"), "dns", "billing_hostingplan"),
                _item(_("Hosting choices"), "tune", "billing_hostingchoice"),
                _item(_("Revenue"), "trending_up", "billing_invoice", page="admin:billing_revenue"),
                _item(_("Margin by agent"), "savings", "billing_invoice", page="admin:billing_earnings"),
            ],
        },
        {
            "title": _("Access"),
            "items": [
                _item(_("Provider keys"), "key", "agents_providerkey"),
                _item(_("Agent tokens"), "token", "agents_agenttoken"),
                _item(_("Workspace tokens"), "api", "agents_workspacetoken"),
                _item(_("Staff groups"), "group", "auth_group"),
            ],
        },
        {
            "title": _("Records"),
            "items": [
                # Only what is in a table can be listed.
                *([] if settings.METER_MONGODB_URL else [_item(_("Usage"), "bar_chart", "metering_usagerecord")]),
                _item(_("Audit trail"), "history", "agents_auditentry"),
                _item(_("Staff's changes"), "manage_history", "admin_logentry"),
            ],
        },
    ]


def _item(
    title: str, icon: str, model: str, *, page: str = "", apart_from: tuple[str, ...] = (), can: str = ""
) -> dict[str, Any]:
    """Return an entry for a model's list, or for another ``page`` that whoever may see the model may see.

    ``apart_from``: pages below its address that have entries of their own. ``can``: another permission that it takes.
    """
    app, _underscore, name = model.partition("_")

    def allowed(request: HttpRequest) -> bool:
        return request.user.has_perm(f"{app}.{can or f'view_{name}'}")

    link = reverse(page or f"admin:{model}_changelist")
    others = tuple(reverse(each) for each in apart_from)

    def active(request: HttpRequest) -> bool:
        return request.path.startswith(link) and not request.path.startswith(others)

    return {"title": title, "icon": icon, "link": link, "permission": allowed, "active": active}
