"""Closes a month for everybody: drafts once it is over, issued 24 hours later.

Each portion of workspaces is closed in a transaction of its own. Whoever is killed leaves the portions that are done
done and the others open, so running it again goes on where it stopped; running it twice, or two at once, changes
nothing.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from agents.changes import Actor
from agents.models import PlanStay, Workspace
from billing import services
from billing.models import Invoice, Status
from metering.periods import Month

AT_ONCE: Final = 50  # workspaces in a transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A portion that was closed: how many workspaces, and the invoices that were issued with it."""

    workspaces: int
    issued: tuple[Invoice, ...]


def open_workspaces(month: Month) -> list[UUID]:
    """Return the workspaces that were there in the month and have no issued (or void) invoice of it yet."""
    done = Invoice.objects.issued().filter(workspace=OuterRef("pk"), period_start=month.start)
    stayed = PlanStay.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=month.start), agent__workspace=OuterRef("pk"), starts_at__lt=month.end
    )
    here = Q(created_at__lt=month.end) & (Q(closed_at=None) | Q(closed_at__gte=month.start))
    found = Workspace.objects.filter(here | Exists(stayed), ~Exists(done))
    return list(found.order_by("pk").values_list("pk", flat=True))


def close_month(
    month: Month, *, at: datetime, workspace_ids: list[UUID] | None = None, by: Actor = services.COMMAND
) -> Iterator[Step]:
    """Close the month for ``workspace_ids`` (all that are open unless told), giving each portion that is done.

    Raises:
        billing.services.NotYet: before the month is over.
        metering.store.StoreUnavailable: when the meter is away; what was done stays done.
    """
    if at < month.end:
        raise services.NotYet(f"{month} isn't over")
    waiting = iter(open_workspaces(month) if workspace_ids is None else workspace_ids)
    while portion := list(islice(waiting, AT_ONCE)):
        issued = services.close(workspace_ids=portion, month=month, at=at, by=by)
        yield Step(workspaces=len(portion), issued=tuple(issued))


def issue_waiting(*, at: datetime) -> Iterator[Step]:
    """Issue the drafts whose wait for late records is over, the oldest months first, giving each portion."""
    waiting: dict[Month, list[UUID]] = defaultdict(list)
    due = Invoice.objects.filter(status=Status.DRAFT, period_end__lte=at - services.WAIT)
    for start, workspace_id in due.order_by("workspace_id").values_list("period_start", "workspace_id"):
        waiting[Month.of(start)].append(workspace_id)
    for month, workspace_ids in sorted(waiting.items()):
        yield from close_month(month, at=at, workspace_ids=workspace_ids)


def unfinished_months(at: datetime) -> list[Month]:
    """Return the months whose drafts wait to be issued and the last month that is over, the oldest first."""
    drafts = Invoice.objects.filter(status=Status.DRAFT).order_by().values_list("period_start", flat=True).distinct()
    return sorted({Month.of(start) for start in drafts} | {Month.of(at).previous()})
