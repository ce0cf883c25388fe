"""The end of a workspace: closed by an owner at once, erased when its last invoice is out."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from django.apps import apps
from django.db import transaction

from agents.leaving import close_workspace
from agents.models import Agent, User, Workspace
from billing import rating, services
from billing.models import Invoice, Status
from custody.retention import tomorrow
from metering import retention
from metering.periods import Month

# What invoices need, and sums under ids that name nobody any more, which prove invoices and margins. Whatever else
# belongs to a workspace or its agents goes, tables that are made later included.
KEPT: Final = frozenset(
    {
        *("agents.Agent", "agents.PlanStay"),
        *("billing.BillingProfile", "billing.Credit", "billing.HostingChoice"),
        *("billing.Invoice", "billing.InvoiceLine"),
        *("billing.PaymentAccount", "billing.SentInvoice", "billing.SentCreditNote"),
        *("metering.HourlyUsage", "metering.DailyUsage", "metering.MonthlyUsage", "metering.HourlyLatency"),
        *("metering.KeptSince", "metering.UsageRecord"),
    }
)
# Who did what stays for as long as there is something to do.
UNTIL_THE_END: Final = frozenset({"agents.AuditEntry"})


@transaction.atomic
def close(*, workspace: Workspace, by: User, at: datetime) -> None:
    """Close a workspace; its last invoice goes to who closed it, unless it has an address for invoices.

    Raises:
        ValidationError: when ``by`` isn't an owner.
    """
    addressed = services.profile_of(workspace).email or by.email
    close_workspace(workspace=workspace, by=by, at=at)
    services.change_profile(workspace=workspace, details={"email": addressed}, by=by)
    _sweep(workspace, sparing=UNTIL_THE_END)


def erase_closed(*, at: datetime) -> int:
    """Erase the closed workspaces that nothing is left to invoice of; return how many.

    Raises:
        metering.store.StoreUnavailable: when the meter is away.
    """
    waiting = Workspace.objects.filter(erased_at=None).exclude(closed_at=None)
    settled = [workspace for workspace in waiting if not _still_invoiced(workspace, at)]
    # The records first, of all of them after one roll-up: whoever is killed in between comes again.
    for _deleted in retention.forgotten({workspace.pk: tomorrow(at) for workspace in settled}):
        pass
    for workspace in settled:
        _erase(workspace, at)
    return len(settled)


def _still_invoiced(workspace: Workspace, at: datetime) -> bool:
    assert workspace.closed_at  # noqa: S101 — the caller has seen to it
    last = Month.of(workspace.closed_at)
    if at < last.end + services.WAIT:
        return True
    mine = Invoice.objects.filter(workspace=workspace)
    if mine.filter(status=Status.DRAFT).exists():
        return True
    if mine.issued().filter(period_start=last.start).exists():
        return False
    [rated] = rating.rate([workspace], last)
    return bool(rated.draft.lines)


@transaction.atomic
def _erase(workspace: Workspace, at: datetime) -> None:
    _sweep(workspace)
    for agent in workspace.agents.all():
        Agent.objects.filter(pk=agent.pk).update(name=_nameless(agent), template="", provider="", model="")
    Workspace.objects.filter(pk=workspace.pk).update(name=_nameless(workspace), erased_at=at)


def _sweep(workspace: Workspace, *, sparing: Collection[str] = ()) -> None:
    """Delete what isn't kept of the workspace and its agents."""
    agents = list(workspace.agents.values_list("pk", flat=True))
    for model in apps.get_models():
        if model._meta.label in KEPT.union(sparing):
            continue
        columns = {field.attname for field in model._meta.concrete_fields}
        if "workspace_id" in columns:
            model._base_manager.filter(workspace_id=workspace.pk).delete()
        elif "agent_id" in columns:
            model._base_manager.filter(agent_id__in=agents).delete()


def _nameless(row: Agent | Workspace) -> str:
    return f"deleted {str(row.pk)[:8]}"
