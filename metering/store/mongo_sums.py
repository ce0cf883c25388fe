"""What records in MongoDB add up to, and which of them are new since somebody last looked.

Whoever stores writes records without a number; numbers are given by whoever asks for a mark, to all that is there to
be seen. One document says how far that is: the last number, and the ids that it is for. A number and its ids are
fixed in one step that only one of several can take, and everybody gives the last number to its ids before taking the
next. So it doesn't matter where any of them dies, nor how late a command of one's arrives: what has no number when a
mark is returned gets a higher one.

Counts are added as decimals: a sum of whole numbers that passes 64 bits would become a float.
"""

from collections import defaultdict
from collections.abc import Collection as Several
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from pymongo import DESCENDING
from pymongo.collection import Collection

from metering.periods import Month
from metering.store.base import Hours, OfSession
from metering.store.mongo_client import reachable
from metering.store.mongo_documents import NOT_YET, Document
from metering.totals import LEFT, MONEY, OK, Latency, Slice, Totals

HOUR: Final = timedelta(hours=1)
AGENTS_AT_ONCE: Final = 1_000  # in one command
NUMBERED_AT_ONCE: Final = 500  # records with one number, so that no command takes long

ORDER: Final = "order"

# Two digits are enough: 1,234 ms are 1,200.
_UNIT: Final = {
    "$switch": {
        "branches": [{"case": {"$lt": ["$latency_ms", unit * 100]}, "then": unit} for unit in (1, 10, 100, 1_000)],
        "default": 10_000,
    }
}
_TWO_DIGITS: Final = {"$subtract": ["$latency_ms", {"$mod": ["$latency_ms", _UNIT]}]}
Records = Collection[Document]

_UNPRICED: Final = {"$sum": {"$cond": [{"$eq": ["$cost_total", None]}, 1, 0]}}

SUMS: Final[dict[str, Any]] = {
    "sum_requests": {"$sum": 1},
    "sum_unpriced": _UNPRICED,
    **{f"sum_{name}": {"$sum": f"${name}"} for name in MONEY},
    **{
        f"sum_{name}": {"$sum": {"$toDecimal": f"${name}"}}
        for name in Totals.__slots__
        if name not in {"requests", "unpriced", *MONEY}
    },
}


# --- the order of storing ------------------------------------------------------------------------


def mark(records: Records, order: Collection[Document]) -> int:
    """See :meth:`metering.store.base.Store.mark`."""
    with reachable():
        while True:
            last = _numbered(records, order)
            some = [each["_id"] for each in records.find({"stored": NOT_YET}, {"_id": 1}).limit(NUMBERED_AT_ONCE)]
            if not some:
                return last + 1
            step = {"$set": {"last": last + 1, "numbering": some}}
            # Where somebody else took this number meanwhile, it is theirs, and so are its ids: look again.
            taken = order.update_one({"_id": ORDER, "last": last}, step).modified_count
            if taken and len(some) < NUMBERED_AT_ONCE:
                return _numbered(records, order) + 1


def begin(records: Records, order: Collection[Document], *, at_least: int = 0) -> None:
    """Let the next number be higher than any that a record has, and than ``at_least``."""
    newest = records.find_one({"stored": {"$lt": NOT_YET}}, {"stored": 1}, sort=[("stored", DESCENDING)])
    last = max(at_least, newest["stored"] if newest else 0)
    order.update_one({"_id": ORDER}, {"$max": {"last": last}, "$setOnInsert": {"numbering": []}}, upsert=True)


def _numbered(records: Records, order: Collection[Document]) -> int:
    """Give the last number to every record that it is for; return it."""
    reached = order.find_one({"_id": ORDER})
    if reached is None:
        begin(records, order)
        return _numbered(records, order)
    last: int = reached["last"]
    if reached["numbering"]:
        theirs = {"_id": {"$in": reached["numbering"]}, "stored": NOT_YET}
        # By their ids: by the other index it would walk through all that has no number yet, step after step.
        records.update_many(theirs, {"$set": {"stored": last}}, hint="_id_")
        order.update_one({"_id": ORDER, "last": last}, {"$set": {"numbering": []}})
    return last


def touched(records: Records, *, since: int, before: int) -> Hours:
    """See :meth:`metering.store.base.Store.touched`."""
    return _hours(records, {"stored": {"$gte": since, "$lt": before}})


# --- sums ----------------------------------------------------------------------------------------


def hours(records: Records, span: Document) -> Hours:
    """Return whose hours in a span of time have records."""
    return _hours(records, {"timestamp": span})


def slices(records: Records, hours: Hours, *, before: int) -> Iterator[tuple[datetime, Slice, Totals]]:
    """See :meth:`metering.store.base.Store.slices`."""
    for hour, some in _each_hour(hours, before):
        for row in _added(records, some, _names(Slice._fields)):
            yield hour, Slice(**row["_id"]), totals(row)


def recent(
    records: Records, *, since: int, workspace_id: UUID, month: Month, agent_id: UUID | None
) -> Iterator[tuple[date, Slice, Totals]]:
    """See :meth:`metering.store.base.Store.recent`."""
    some: Document = {**_recent(since, month), "workspace_id": workspace_id}
    if agent_id:
        some["agent_id"] = agent_id
    for row in _added(records, some, {"day": first_of("day"), **_names(Slice._fields)}):
        day = row["_id"].pop("day").date()
        yield day, Slice(**row["_id"]), totals(row)


def latencies(records: Records, hours: Hours, *, before: int) -> Iterator[Latency]:
    """See :meth:`metering.store.base.Store.latencies`."""
    for hour, some in _each_hour(hours, before):
        for row in _took(records, some, _names(["agent_id"])):
            of = row["_id"]
            yield Latency(hour=hour, agent_id=of["agent_id"], latency_ms=of["took"], requests=row["requests"])


def recent_latencies(records: Records, *, since: int, agent_id: UUID, month: Month) -> Iterator[tuple[int, int]]:
    """See :meth:`metering.store.base.Store.recent_latencies`."""
    for row in _took(records, {**_recent(since, month), "agent_id": agent_id}, {}):
        yield row["_id"]["took"], row["requests"]


def sessions(records: Records, arms: Several[str]) -> Iterator[OfSession]:
    """See :meth:`metering.store.base.Store.sessions`."""
    ok = {"$eq": ["$status", OK]}
    sums = {
        "requests": {"$sum": 1},
        "ended": {"$sum": {"$cond": [{"$ne": ["$status", LEFT]}, 1, 0]}},
        "answered": {"$sum": {"$cond": [ok, 1, 0]}},
        "latency_ms": {"$sum": {"$cond": [ok, "$latency_ms", 0]}},
        "unpriced": _UNPRICED,
        "cost_total": {"$sum": "$cost_total"},
        "price_total": {"$sum": "$price_total"},
    }
    # The second condition is the index's own.
    some = {"experiment_arm": {"$in": list(arms), "$gt": ""}}
    for row in grouped(records, some, {"arm": "$experiment_arm", "session": "$session"}, **sums):
        yield OfSession(
            arm=row["_id"]["arm"],
            session=row["_id"].get("session") or "",
            requests=row["requests"],
            ended=row["ended"],
            answered=row["answered"],
            latency_ms=row["latency_ms"],
            priced=row["requests"] - row["unpriced"],
            cost_total=Decimal(row["cost_total"]),
            price_total=Decimal(row["price_total"]),
        )


def grouped(records: Records, some: Document, by: Mapping[str, Any], **sums: Any) -> Iterator[Document]:
    """Give what ``some`` records add up to, one document for each ``_id`` of those that ``by`` makes."""
    steps = [{"$match": some}, {"$group": {"_id": dict(by), **sums}}]
    with reachable(), records.aggregate(steps, allowDiskUse=True) as cursor:
        yield from cursor


def first_of(unit: str) -> Document:
    """Return the first instant (UTC) of the hour, day or month that a record is from."""
    return {"$dateTrunc": {"date": "$timestamp", "unit": unit}}


def totals(row: Document) -> Totals:
    """Read off what :data:`SUMS` made."""
    return Totals.summed({name: Decimal(value) if name[4:] in MONEY else value for name, value in row.items()})


def _recent(since: int, month: Month) -> Document:
    return {"stored": {"$gte": since}, "timestamp": {"$gte": month.start, "$lt": month.end}}


def _added(records: Records, some: Document, by: Mapping[str, Any]) -> Iterator[Document]:
    return grouped(records, some, by, **SUMS)


def _took(records: Records, some: Document, by: Mapping[str, Any]) -> Iterator[Document]:
    return grouped(records, {**some, "status": OK}, {**by, "took": _TWO_DIGITS}, requests={"$sum": 1})


def _names(names: Iterable[str]) -> dict[str, str]:
    return {name: f"${name}" for name in names}


def _each_hour(hours: Hours, before: int) -> Iterator[tuple[datetime, Document]]:
    for hour, agents in sorted(hours.items()):
        known = sorted(agents)
        for start in range(0, len(known), AGENTS_AT_ONCE):
            yield (
                hour,
                {
                    "agent_id": {"$in": known[start : start + AGENTS_AT_ONCE]},
                    "timestamp": {"$gte": hour, "$lt": hour + HOUR},
                    "stored": {"$lt": before},
                },
            )


def _hours(records: Records, some: Document) -> Hours:
    found: dict[datetime, list[UUID]] = defaultdict(list)
    for row in grouped(records, some, {"agent_id": "$agent_id", "hour": first_of("hour")}):
        found[row["_id"]["hour"]].append(row["_id"]["agent_id"])
    return dict(found)
