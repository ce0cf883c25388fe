"""Django's entry to the room."""

from typing import Any, Final

from django.apps import AppConfig
from django.db.models.signals import post_migrate

FINANCE: Final = "Finance"
# What staff of that group may do: everything about money, and to look at what is behind it.
MAY: Final = {
    "billing": (
        *("view_invoice", "change_invoice", "close_month", "view_invoiceline", "view_creditnote"),
        *("view_credit", "add_credit", "view_billingprofile", "add_billingprofile", "change_billingprofile"),
        *("view_hostingplan", "add_hostingplan", "change_hostingplan", "delete_hostingplan"),
        *("view_hostingchoice", "add_hostingchoice", "change_hostingchoice", "delete_hostingchoice"),
    ),
    "agents": ("view_workspace", "view_auditentry"),
    "metering": ("view_usagerecord",),
}


class BillingConfig(AppConfig):
    """Registers billing with Django."""

    name = "billing"

    def ready(self) -> None:
        """See to it that there are plans, a group for finance, and that payments hear of invoices that move."""
        from billing import tasks  # noqa: F401 — it listens

        post_migrate.connect(_offer_hosting, sender=self)
        post_migrate.connect(_offer_finance, sender=self)


def _offer_hosting(using: str, **_more: Any) -> None:
    from billing.models import HostingPlan

    if using == "default":
        HostingPlan.offer_usual()


def _offer_finance(using: str, **_more: Any) -> None:
    """Make the group where there is none. What a superuser changed about it stays."""
    from django.contrib.auth.models import Group, Permission

    if using != "default":
        return
    group, made = Group.objects.get_or_create(name=FINANCE)
    if made:
        # Whatever they are about was made before: permissions come with each app, in the order of INSTALLED_APPS.
        for app, names in MAY.items():
            group.permissions.add(*Permission.objects.filter(content_type__app_label=app, codename__in=names))
