"""The store in MongoDB: a collection of one document a record, in the field names of ``llm-strategy``.

A batch is stored document by document. When the server goes away in the middle, some are there, and the next attempt
with the same batch stores the rest. Indexes are made by the first batch that a process stores.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import BulkWriteError

from metering.models import UsageRecord
from metering.periods import Month, midnight
from metering.store import cursors, mongo_client, mongo_documents, mongo_sums
from metering.store.base import AgentSum, AgentUsage, Counted, Hours, OfSession, Page
from metering.store.json_lines import read as read_lines
from metering.store.mongo_client import reachable
from metering.store.mongo_documents import MICROSECONDS, Document, split
from metering.totals import BYOKEY, OK, Latency, Slice, Totals

DAY: Final = timedelta(days=1)
DUPLICATE: Final = 11_000  # MongoDB's code for an id that is there already
READ_AT_ONCE: Final = 10_000
FORGOTTEN_AT_ONCE: Final = 5_000

OLDEST_FIRST: Final = [("timestamp", ASCENDING), (MICROSECONDS, ASCENDING), ("_id", ASCENDING)]
NEWEST_FIRST: Final = [(name, DESCENDING) for name, _direction in OLDEST_FIRST]
# Read in either direction.
INDEXES: Final = [
    IndexModel([("workspace_id", ASCENDING), *OLDEST_FIRST], name="records_of_workspace"),
    IndexModel([("agent_id", ASCENDING), *OLDEST_FIRST], name="records_of_agent"),
    IndexModel(OLDEST_FIRST, name="records_by_time"),
    IndexModel([("stored", ASCENDING)], name="records_as_stored"),
    IndexModel(
        [("experiment_arm", ASCENDING), ("session", ASCENDING)],
        name="records_of_experiments",
        partialFilterExpression={"experiment_arm": {"$gt": ""}},
    ),
]

_NOT_OWN_KEY: Final = {"$ne": BYOKEY}
_TOKENS: Final = {"$sum": {"$add": [{"$toDecimal": "$tokens_input"}, "$tokens_output"]}}


class MongoStore:
    """Keeps records in the database that a ``mongodb://`` address names."""

    # By address: who has made sure of the indexes in this process.
    _ready: set[str] = set()

    def __init__(self, url: str) -> None:
        """Use the database at ``url``. Nobody is asked anything yet."""
        self._url = url

    @property
    def _records(self) -> mongo_sums.Records:
        return mongo_client.records(self._url)

    @property
    def _patiently(self) -> mongo_sums.Records:
        return mongo_client.records(self._url, patient=True)

    @property
    def _order(self) -> mongo_sums.Records:
        return mongo_client.order(self._url)

    def append(self, lines: Sequence[bytes]) -> int:
        """See :meth:`metering.store.base.Store.append`."""
        if not lines:
            return 0
        documents = [mongo_documents.of_record(each) for each in read_lines(lines)]
        self.make_ready()
        return self.add(documents)

    def add(self, documents: Sequence[Document]) -> int:
        """Store documents that aren't there yet; return how many those were.

        Raises:
            StoreUnavailable: when the database is away; some may be stored.
        """
        with reachable():
            try:
                return len(self._records.insert_many(documents, ordered=False).inserted_ids)
            except BulkWriteError as error:
                said = error.details
                if said["writeConcernErrors"] or any(each["code"] != DUPLICATE for each in said["writeErrors"]):
                    raise
                return int(said["nInserted"])

    def make_ready(self) -> None:
        """Make the indexes that queries need, unless this process has already made sure of them.

        Raises:
            StoreUnavailable: when the database is away.
        """
        if self._url in self._ready:
            return
        # On records that were copied here without indexes this takes its time.
        with reachable():
            self._patiently.create_indexes(INDEXES)
            mongo_sums.begin(self._records, self._order)
        self._ready.add(self._url)

    def usage(self, *, workspace_id: UUID, month: Month) -> list[AgentUsage]:
        """See :meth:`metering.store.base.Store.usage`."""
        some = {"workspace_id": workspace_id, **during(month)}
        sums = {
            **mongo_sums.SUMS,
            "failed": {"$sum": {"$cond": [{"$ne": ["$status", OK]}, 1, 0]}},
            "managed": {"$sum": {"$cond": [{"$ne": ["$mode", BYOKEY]}, _TOKENS["$sum"], 0]}},
            "providers": {"$addToSet": "$provider"},
        }
        with reachable():
            rows = mongo_sums.grouped(self._records, some, {"agent_id": "$agent_id"}, **sums)
            return [_of_agent(row) for row in rows]

    def month_tokens(self, *, agent_id: UUID, month: Month, leaving_out: Collection[UUID] = ()) -> int:
        """See :meth:`metering.store.base.Store.month_tokens`."""
        some = {"agent_id": agent_id, **during(month), "mode": _NOT_OWN_KEY}
        if leaving_out:
            some["_id"] = {"$nin": list(leaving_out)}
        with reachable():
            return sum(int(row["tokens"]) for row in mongo_sums.grouped(self._records, some, {}, tokens=_TOKENS))

    def tokens_since(self, *, since: datetime) -> dict[UUID, int]:
        """See :meth:`metering.store.base.Store.tokens_since`."""
        moment, beyond = split(since)
        late = [{"timestamp": {"$gt": moment}}, {MICROSECONDS: {"$gte": beyond}}]
        some = {"timestamp": {"$gte": moment}, "$or": late, "mode": _NOT_OWN_KEY}
        with reachable():
            rows = mongo_sums.grouped(self._records, some, {"agent_id": "$agent_id"}, tokens=_TOKENS)
            return {row["_id"]["agent_id"]: int(row["tokens"]) for row in rows}

    def records(
        self,
        *,
        workspace_id: UUID,
        month: Month | None = None,
        agent_id: UUID | None = None,
        status: str | None = None,
        request_type: str | None = None,
        day: date | None = None,
        managed: bool = False,
        before: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """See :meth:`metering.store.base.Store.records`."""
        alike = {"agent_id": agent_id, "status": status, "request_type": request_type}
        every: list[Document] = [
            {"workspace_id": workspace_id, **{name: value for name, value in alike.items() if value}}
        ]
        every += [during(month)] if month else []
        every += [{"timestamp": _of_day(day)}] if day else []
        every += [{"mode": _NOT_OWN_KEY}] if managed else []
        every += [{"stored": {"$lt": before}}] if before is not None else []
        every += [_older(*cursors.read(cursor))] if cursor else []
        with reachable():
            rows = self._records.find({"$and": every}).sort(NEWEST_FIRST).limit(limit + 1)
            found = [mongo_documents.record(row) for row in rows]
        more = len(found) > limit
        return Page(records=found[:limit], next_cursor=cursors.after(found[limit - 1]) if more else None)

    def first_record_at(self, *, workspace_id: UUID) -> datetime | None:
        """See :meth:`metering.store.base.Store.first_record_at`."""
        return self._end({"workspace_id": workspace_id}, OLDEST_FIRST)

    def mark(self) -> int:
        """See :meth:`metering.store.base.Store.mark`."""
        return mongo_sums.mark(self._records, self._order)

    def touched(self, *, since: int, before: int) -> Hours:
        """See :meth:`metering.store.base.Store.touched`."""
        return mongo_sums.touched(self._patiently, since=since, before=before)

    def hours(self, *, day: date) -> Hours:
        """See :meth:`metering.store.base.Store.hours`."""
        return mongo_sums.hours(self._patiently, _of_day(day))

    def slices(self, hours: Hours, *, before: int) -> Iterator[tuple[datetime, Slice, Totals]]:
        """See :meth:`metering.store.base.Store.slices`."""
        return mongo_sums.slices(self._patiently, hours, before=before)

    def latencies(self, hours: Hours, *, before: int) -> Iterator[Latency]:
        """See :meth:`metering.store.base.Store.latencies`."""
        return mongo_sums.latencies(self._patiently, hours, before=before)

    def recent(
        self, *, since: int, workspace_id: UUID, month: Month, agent_id: UUID | None = None
    ) -> Iterator[tuple[date, Slice, Totals]]:
        """See :meth:`metering.store.base.Store.recent`."""
        return mongo_sums.recent(self._records, since=since, workspace_id=workspace_id, month=month, agent_id=agent_id)

    def recent_latencies(self, *, since: int, agent_id: UUID, month: Month) -> Iterator[tuple[int, int]]:
        """See :meth:`metering.store.base.Store.recent_latencies`."""
        return mongo_sums.recent_latencies(self._records, since=since, agent_id=agent_id, month=month)

    def days(self) -> tuple[date, date] | None:
        """See :meth:`metering.store.base.Store.days`."""
        first, last = self.ends()
        return (first.date(), last.date()) if first and last else None

    def ends(self) -> tuple[datetime | None, datetime | None]:
        """Return when the oldest and the newest record are from."""
        return self._end({}, OLDEST_FIRST), self._end({}, NEWEST_FIRST)

    def find(self, ids: Collection[UUID]) -> list[UsageRecord]:
        """See :meth:`metering.store.base.Store.find`."""
        with reachable():
            return [mongo_documents.record(row) for row in self._records.find({"_id": {"$in": list(ids)}})]

    def forget(self, *, workspace_id: UUID, until: datetime, before: int) -> int:
        """See :meth:`metering.store.base.Store.forget`."""
        old = {"workspace_id": workspace_id, "timestamp": {"$lt": until}, "stored": {"$lt": before}}
        with reachable():
            some = self._records.find(old, {"_id": 1}).sort(OLDEST_FIRST).limit(FORGOTTEN_AT_ONCE)
            return self._records.delete_many({"_id": {"$in": [each["_id"] for each in some]}}).deleted_count

    def forget_months(self, *, until: datetime, before: int) -> int:  # noqa: ARG002 - months aren't kept by themselves
        """See :meth:`metering.store.base.Store.forget_months`."""
        return 0

    def make_room(self, *, at: datetime) -> None:
        """See :meth:`metering.store.base.Store.make_room`."""

    def sessions(self, *, arms: Collection[str]) -> Iterator[OfSession]:
        """See :meth:`metering.store.base.Store.sessions`."""
        return mongo_sums.sessions(self._patiently, arms)

    def counted(self, *, agent_ids: Collection[UUID], month: Month, before: int | None = None) -> Iterator[Counted]:
        """See :meth:`metering.store.base.Store.counted`."""
        some = {"agent_id": {"$in": list(agent_ids)}, **during(month), "mode": _NOT_OWN_KEY}
        if before is not None:
            some["stored"] = {"$lt": before}
        names = dict.fromkeys(("agent_id", "tokens_input", "tokens_output"), 1)
        with reachable():
            rows = self._patiently.find(some, names).sort([("agent_id", ASCENDING), ("_id", ASCENDING)])
            for row in rows.allow_disk_use(True).batch_size(READ_AT_ONCE):
                yield Counted(id=row.pop("_id"), **row)

    def counted_sums(self, *, month: Month, before: int | None = None) -> list[AgentSum]:
        """See :meth:`metering.store.base.Store.counted_sums`."""
        some = {**during(month), "mode": _NOT_OWN_KEY}
        if before is not None:
            some["stored"] = {"$lt": before}
        by = {"workspace_id": "$workspace_id", "agent_id": "$agent_id"}
        with reachable():
            rows = mongo_sums.grouped(self._patiently, some, by, count={"$sum": 1}, tokens=_TOKENS)
            return [AgentSum(**row["_id"], records=int(row["count"]), tokens=int(row["tokens"])) for row in rows]

    def months_since(
        self, *, workspace_ids: Collection[UUID], since: int, until: datetime
    ) -> set[tuple[UUID, UUID, Month]]:
        """See :meth:`metering.store.base.Store.months_since`."""
        some = {
            "workspace_id": {"$in": list(workspace_ids)},
            "stored": {"$gte": since},
            "timestamp": {"$lt": until},
            "mode": _NOT_OWN_KEY,
        }
        by = {"workspace_id": "$workspace_id", "agent_id": "$agent_id", "month": mongo_sums.first_of("month")}
        rows = (row["_id"] for row in mongo_sums.grouped(self._patiently, some, by))
        return {(row["workspace_id"], row["agent_id"], Month.of(row["month"])) for row in rows}

    def _end(self, some: Document, direction: list[tuple[str, int]]) -> datetime | None:
        """Return when the first of some records, in a direction, is from."""
        with reachable():
            found = self._records.find_one(some, sort=direction)
        return mongo_documents.record(found).timestamp if found else None


def during(month: Month) -> Document:
    """Return the condition that a record is of a month."""
    return {"timestamp": {"$gte": month.start, "$lt": month.end}}


def _of_day(day: date) -> Document:
    return {"$gte": midnight(day), "$lt": midnight(day) + DAY}


def _older(moment: datetime, record_id: UUID) -> Document:
    """Return the condition that a record comes after this one, the newest being the first."""
    whole, beyond = split(moment)
    earlier = [
        {"timestamp": {"$lt": whole}},
        {"timestamp": whole, MICROSECONDS: {"$lt": beyond}},
        {"timestamp": whole, MICROSECONDS: beyond, "_id": {"$lt": record_id}},
    ]
    # By the first of the two an index leads to the place.
    return {"timestamp": {"$lte": whole}, "$or": earlier}


def _of_agent(row: Document) -> AgentUsage:
    sums = mongo_sums.totals(row)
    return AgentUsage(
        agent_id=row["_id"]["agent_id"],
        requests=sums.requests,
        tokens_input=sums.tokens_input,
        tokens_output=sums.tokens_output,
        cost_total=sums.cost_total,
        price_total=sums.price_total,
        unpriced=sums.unpriced,
        failed=row["failed"],
        managed_tokens=int(row["managed"]),
        providers=tuple(sorted(row["providers"])),
    )
