"""A MongoDB that records are copied from, or to."""

from collections.abc import Iterator, Sequence

from metering.periods import Month
from metering.store import mongo_client, mongo_documents, mongo_sums
from metering.store.mongo import OLDEST_FIRST, READ_AT_ONCE, MongoStore, during
from metering.store.mongo_client import reachable
from metering.store.mongo_documents import Document
from metering.store.places import Row, between


class MongoPlace:
    """The database that a ``mongodb://`` address names. See :class:`metering.store.places.Place`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._store = MongoStore(url)

    def mark(self) -> int:
        """See :class:`metering.store.places.Place`."""
        self._store.make_ready()
        return self._store.mark()

    def months(self) -> list[Month]:
        """See :class:`metering.store.places.Place`."""
        return between(*self._store.ends())

    def count(self, month: Month, *, before: int | None = None) -> int:
        """See :class:`metering.store.places.Place`."""
        with reachable():
            return self._records.count_documents(_of(month, before))

    def rows(self, month: Month, *, before: int | None = None) -> Iterator[Row]:
        """See :class:`metering.store.places.Place`."""
        with reachable(), self._records.find(_of(month, before)).sort(OLDEST_FIRST).batch_size(READ_AT_ONCE) as cursor:
            yield from map(mongo_documents.values, cursor)

    def add(self, rows: Sequence[Row]) -> int:
        """See :class:`metering.store.places.Place`."""
        return self._store.add([mongo_documents.of_values(row) for row in rows])

    def count_from(self, mark: int) -> None:
        """See :class:`metering.store.places.Place`."""
        with reachable():
            mongo_sums.begin(self._records, mongo_client.order(self._url), at_least=mark - 1)

    @property
    def _records(self) -> mongo_sums.Records:
        return mongo_client.records(self._url, patient=True)


def _of(month: Month, before: int | None) -> Document:
    return during(month) if before is None else {**during(month), "stored": {"$lt": before}}
