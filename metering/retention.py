"""Deleting old records, while what they came to stays."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from uuid import UUID

from metering import rollups
from metering.store import get_store


def forgotten(until: Mapping[UUID, datetime], *, of_everybody: bool = False) -> Iterator[int]:
    """Delete each workspace's records from before its moment (the first instant of a day), giving how many each time.

    With ``of_everybody``, for whoever names every workspace that there is, whole months that none of them keeps go at
    once. Whoever is killed on the way leaves the rest for next time.

    Raises:
        StoreUnavailable: when the meter's database is away.
    """
    rollups.roll_up()
    if not until:
        return
    mark = rollups.settle(until)
    store = get_store()
    if of_everybody:
        store.forget_months(until=min(until.values()), before=mark)
    for workspace_id, moment in until.items():
        while deleted := store.forget(workspace_id=workspace_id, until=moment, before=mark):
            yield deleted
