"""Usage as CSV, streamed page by page: a year of records takes no more memory than a hundred."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from asgiref.sync import sync_to_async

from metering.models import UsageRecord
from metering.store.base import Page
from metering.totals import BYOKEY

AT_ONCE: Final = 1_000  # records

COLUMNS: Final = (
    "id",
    "timestamp",
    "request_type",
    "status",
    "http_status",
    "tier",
    "provider",
    "model",
    "tokens_input",
    "tokens_output",
    "cache_read",
    "cache_write",
    "reasoning",
    "cost_input",
    "cost_output",
    "cost_total",
    "price_total",
    "latency_ms",
    "ttft_ms",
    "streamed",
    "provenance",
    "price_version",
    "experiment_arm",
)
# Whose plan it is doesn't ask who answers, nor what that costs us.
OURS: Final = frozenset({"provider", "model", "cost_input", "cost_output", "cost_total", "price_version", "provenance"})


def lines(page: Callable[[str | None], Page]) -> Iterator[bytes]:
    """Give the CSV's lines; ``page`` reads the records that begin at a cursor."""
    yield written([COLUMNS])
    for records in pages(page):
        yield written(map(row, records))


def pages(page: Callable[[str | None], Page]) -> Iterator[Sequence[UsageRecord]]:
    """Give all records, a page at a time; ``page`` reads those that begin at a cursor."""
    cursor: str | None = None
    while True:
        read = page(cursor)
        yield read.records
        cursor = read.next_cursor
        if cursor is None:
            return


async def unhurried(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Give the same parts to an event loop, which does other things while one is made."""
    more = sync_to_async(partial(next, parts, None))
    while (part := await more()) is not None:
        yield part


def row(record: UsageRecord) -> list[str]:
    """Return a record's cells, in the order of ``COLUMNS``."""
    hidden: frozenset[str] = frozenset() if record.tier == BYOKEY else OURS
    return ["" if name in hidden else cell(getattr(record, name)) for name in COLUMNS]


def cell(value: Any) -> str:
    """Return a value as a cell says it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    text = str(value)
    # A spreadsheet would take it for a formula, and callers choose the names of models.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def written(rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows as lines of CSV."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
