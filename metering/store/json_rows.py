"""Rows go in as one JSON array that the database itself takes apart, which costs our process next to nothing a row."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import connections
from django.db.models import Model

from metering.batches import batches
from metering.record import picodollars, utc_text

AT_ONCE: Final = 5_000  # rows in one statement

_encode = msgspec.json.Encoder(enc_hook=str).encode


def insert(model: type[Model], rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows, given by column; money is USD."""
    connection = connections[settings.METER_DATABASE]
    names = tuple(str(field.column) for field in model._meta.concrete_fields if not field.primary_key)
    for some in batches(rows, AT_ONCE):
        array = _encode([{name: _written(row[name]) for name in names} for row in some])
        with connection.cursor() as cursor:
            cursor.execute(statement(connection.vendor, model, names), [array.decode()])


@cache
def statement(
    vendor: str, model: type[Model], names: tuple[str, ...], *, also: str = "", value: str = "", before: str = ""
) -> str:
    """Return the statement that inserts the columns ``names`` of a JSON array.

    ``also`` is a further column, whose ``value`` is SQL; ``before`` goes before the array in the list of sources.
    """
    fields: list[Any] = [field for field in model._meta.concrete_fields if field.column in names]
    into = ", ".join(f'"{name}"' for name in [*(field.column for field in fields), *filter(None, [also])])
    if vendor == "postgresql":
        types = ", ".join(f'"{field.column}" {field.db_type(connections[settings.METER_DATABASE])}' for field in fields)
        values = [f'"{field.column}"' for field in fields]
        source = f"jsonb_to_recordset(%s::jsonb) AS line({types})"
    else:
        values = [_extract(field) for field in fields]
        # WHERE true: without it SQLite reads an ON CONFLICT that follows as part of a join.
        source = "json_each(%s) WHERE true"
    selected = ", ".join([*values, *filter(None, [value])])
    return f'INSERT INTO "{model._meta.db_table}" ({into}) SELECT {selected} FROM {before}{source}'  # noqa: S608


def _extract(field: Any) -> str:
    value = f"json_extract(value, '$.{field.column}')"
    # Django keeps UUIDs as 32 hex digits in SQLite.
    return f"replace({value}, '-', '')" if field.get_internal_type() == "UUIDField" else value


def _written(value: Any) -> Any:
    """Return a value as both databases read it out of JSON."""
    if isinstance(value, Decimal):
        return picodollars(value)
    if isinstance(value, datetime):
        return utc_text(value)
    return value.isoformat() if isinstance(value, date) else value
