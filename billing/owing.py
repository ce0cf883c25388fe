"""What becomes of a workspace that doesn't pay: it's told, in steps, and then its plans pause until it has paid."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Min

from agents import services as people
from agents.models import Workspace
from billing.gateways.base import State
from billing.grace import Owing, Step
from billing.models import Status
from billing.payments import PaymentAccount, SentInvoice

BY: Final = "Stripe"

log = structlog.get_logger(__name__)


def owing(account: PaymentAccount) -> Owing | None:
    """Return how far it got with a workspace, or None for one that owes nothing."""
    if account.owing_since is None:
        return None
    return Owing(since=account.owing_since, step=Step(account.told), step_at=account.told_at)


def owes_since(workspace: Workspace, *, at: datetime) -> datetime | None:
    """Return since when an invoice of the workspace's is overdue, or couldn't be charged."""
    unpaid = SentInvoice.objects.filter(
        invoice__workspace=workspace, state=State.OPEN, invoice__status=Status.FINALIZED
    )
    failed = unpaid.aggregate(since=Min("failed_at"))["since"]
    # What is charged by itself is owed once that failed, not while we, or a bank, haven't got round to it.
    overdue = unpaid.filter(automatic=False, processing=False, invoice__due_at__lte=at).aggregate(
        since=Min("invoice__due_at")
    )["since"]
    return min(filter(None, (failed, overdue)), default=None)


def review(*, workspace_id: UUID, at: datetime, tell: Callable[[PaymentAccount, Step], None]) -> Step:
    """Take the next step with a workspace that owes, if it is due, or let go of one that has paid; return where it is.

    ``tell`` sends the reminder; where it can't (``OSError``), the step waits for the next time.
    """
    with transaction.atomic():
        account = PaymentAccount.objects.select_for_update().filter(pk=workspace_id).first()
        if account is None:
            return Step.NONE
        since = owes_since(account.workspace, at=at)
        if since is None:
            _let_go(account)
            return Step.NONE
        account.owing_since = account.owing_since or since
        if (now := owing(account)) and (due := now.next_at()) and due <= at:
            _take(account, Step(now.step + 1), at=at, tell=tell)
        account.save(update_fields=["owing_since", "told", "told_at"])
        return Step(account.told)


def _take(account: PaymentAccount, step: Step, *, at: datetime, tell: Callable[[PaymentAccount, Step], None]) -> None:
    was = account.told, account.told_at
    account.told, account.told_at = step, at
    try:
        tell(account, step)
    except OSError as error:
        account.told, account.told_at = was
        log.warning("reminder_not_sent", workspace=str(account.pk), step=step.name, error=type(error).__name__)
        return
    if step == Step.PAUSED:
        people.pause_managed(workspace=account.workspace, at=at, by=BY)


def _let_go(account: PaymentAccount) -> None:
    if account.owing_since is None:
        return
    account.owing_since, account.told, account.told_at = None, Step.NONE, None
    account.save(update_fields=["owing_since", "told", "told_at"])
    people.resume_managed(workspace=account.workspace, by=BY)


def to_review() -> list[UUID]:
    """Return the workspaces that owe, and those with an invoice that is open at the gateway."""
    owe = PaymentAccount.objects.exclude(owing_since=None).values_list("pk", flat=True)
    unpaid = SentInvoice.objects.filter(state=State.OPEN).order_by().values_list("invoice__workspace", flat=True)
    return sorted({*owe, *unpaid})
