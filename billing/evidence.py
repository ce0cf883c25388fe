"""What stands behind a line: the meter's records, counted, and a digest over them that anybody can compute again.

The digest is SHA-256 in hex over one line a record, in the order of ids: ``<id> <tokens_input> <tokens_output>\\n``.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final
from uuid import UUID

from billing.models import InvoiceLine
from metering.kept import kept_since
from metering.periods import Month
from metering.store import Page, get_store

AGENTS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """An agent's month: how many records count towards its allowance, their tokens, and their digest."""

    records: int
    tokens: int
    digest: str


NONE: Final = Evidence(records=0, tokens=0, digest=hashlib.sha256().hexdigest())


def gather(agent_ids: Collection[UUID], *, month: Month, before: int | None = None) -> dict[UUID, Evidence]:
    """Return what stands behind each of the agents' months, as of a mark of the store or of now.

    Agents without records have none.

    Raises:
        metering.store.StoreUnavailable: when the meter is away.
    """
    found, wanted = {}, sorted(agent_ids)
    for start in range(0, len(wanted), AGENTS_AT_ONCE):
        some = wanted[start : start + AGENTS_AT_ONCE]
        rows = get_store().counted(agent_ids=some, month=month, before=before)
        for agent_id, records in groupby(rows, key=lambda record: record.agent_id):
            count = tokens = 0
            digest = hashlib.sha256()
            for record in records:
                count += 1
                tokens += record.tokens_input + record.tokens_output
                digest.update(f"{record.id} {record.tokens_input} {record.tokens_output}\n".encode())
            found[agent_id] = Evidence(records=count, tokens=tokens, digest=digest.hexdigest())
    return found


def gone_since(workspace_id: UUID, *, month: Month) -> datetime | None:
    """Return since when the workspace's records are kept, where those of a month are gone."""
    since = kept_since(workspace_id)
    return since if since and month.start < since else None


def records_behind(line: InvoiceLine, *, cursor: str | None = None) -> Page:
    """Return a page of the records that a line's digest is over, the newest first; a line of no agent has none.

    Raises:
        metering.store.StoreUnavailable: when the meter is away.
        ValueError: for a cursor that no page gave.
    """
    if line.agent_id is None:
        return Page(records=[], next_cursor=None)
    return get_store().records(
        workspace_id=line.invoice.workspace_id,
        agent_id=line.agent_id,
        month=line.of_month,
        managed=True,
        before=line.invoice.mark,
        cursor=cursor,
    )
