"""A record as MongoDB holds it: under the field names of ``llm-strategy``, money in USD as Decimal128.

A date of MongoDB's ends at milliseconds. The microseconds beyond (0 to 999) have a field of their own, so that a
record comes back as it was, and sorts alike wherever it is stored.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from bson import Decimal128
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, TypeCodec, TypeRegistry

from metering.fields import UsdField
from metering.models import UsageRecord
from metering.record import PICO, Record
from metering.store.base import BadRecord

Document = dict[str, Any]

MILLISECOND: Final = 1_000  # microseconds
MICROSECONDS: Final = "microseconds"
# ``stored`` of a record that no mark has given a number yet: after all that have one.
NOT_YET: Final = 2**63 - 1

_FIELDS: Final = tuple(str(field.column) for field in UsageRecord._meta.concrete_fields)
_MONEY: Final = tuple(str(field.column) for field in UsageRecord._meta.concrete_fields if isinstance(field, UsdField))


class _Decimals(TypeCodec):
    """Decimals in Python are Decimal128 in MongoDB, of 34 digits: no amount of ours has more than 19."""

    python_type = Decimal
    bson_type = Decimal128

    def transform_python(self, value: Any) -> Any:
        """Return what is stored."""
        return Decimal128(value)

    def transform_bson(self, value: Any) -> Any:
        """Return what is read."""
        return value.to_decimal()


CODEC: Final[CodecOptions[Document]] = CodecOptions(
    tz_aware=True,
    tzinfo=UTC,
    uuid_representation=UuidRepresentation.STANDARD,
    type_registry=TypeRegistry([_Decimals()]),
)


def of_record(record: Record) -> Document:
    """Return the document of a record that is new.

    Raises:
        BadRecord: when its moment is none that a calendar has.
    """
    values = msgspec.structs.asdict(record)
    try:
        moment = datetime.fromisoformat(record.timestamp).replace(tzinfo=UTC)
    except ValueError as error:
        raise BadRecord(type(error).__name__) from None
    ids = {name: UUID(values[name]) for name in ("id", "agent_id", "workspace_id")}
    money = {name: None if values[name] is None else Decimal(values[name]) / PICO for name in _MONEY}
    attempts = msgspec.to_builtins(record.attempts)
    return of_values({**values, **ids, **money, "timestamp": moment, "attempts": list(attempts), "stored": NOT_YET})


def of_values(values: Mapping[str, Any]) -> Document:
    """Return the document of a record given by column, as ``UsageRecord`` has the values."""
    rest = {name: value for name, value in values.items() if name not in {"id", "timestamp"}}
    moment, microseconds = split(values["timestamp"])
    return {"_id": values["id"], "timestamp": moment, MICROSECONDS: microseconds, **rest}


def values(document: Document) -> dict[str, Any]:
    """Return a document's values by column."""
    found = {name: document.get(name) for name in _FIELDS}
    moment = document["timestamp"]
    whole = moment.replace(microsecond=moment.microsecond + document[MICROSECONDS])
    return {**found, "id": document["_id"], "timestamp": whole}


def record(document: Document) -> UsageRecord:
    """Return the record that a document is."""
    return UsageRecord(**values(document))


def split(moment: datetime) -> tuple[datetime, int]:
    """Return a moment to the millisecond, as MongoDB has it, and the microseconds beyond."""
    beyond = moment.microsecond % MILLISECOND
    return moment.replace(microsecond=moment.microsecond - beyond), beyond
