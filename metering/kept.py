"""Whose records are no longer kept. What they came to stays in the roll-ups, which can't be made again from then on."""

from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID

from metering.models import KeptSince
from metering.periods import midnight


def kept_since(workspace_id: UUID) -> datetime | None:
    """Return from when on the workspace's records are there, or None where none were deleted yet."""
    return KeptSince.objects.filter(pk=workspace_id).values_list("since", flat=True).first()


def kept_since_of(workspace_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """Return the same of those of the workspaces of which some were deleted."""
    return dict(KeptSince.objects.filter(pk__in=workspace_ids).values_list("pk", "since"))


def gone(day: date, *, of: Collection[UUID] | None = None) -> set[UUID]:
    """Return the workspaces, or those ``of`` some, whose records of a day (UTC) aren't kept any more."""
    later = KeptSince.objects.filter(since__gt=midnight(day))
    if of is not None:
        later = later.filter(pk__in=of)
    return set(later.values_list("pk", flat=True))
