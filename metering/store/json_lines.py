"""Records as lines of JSON, held to what PostgreSQL's column types take: the other databases would store anything."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from metering.record import Record
from metering.store.base import BadRecord

# JSON's \u0000, unless it is a backslash and then some letters: no text column of PostgreSQL holds that character.
NUL: Final = re.compile(rb"(?<!\\)(\\\\)*\\u0000")

_read_records = msgspec.json.Decoder(list[Record]).decode


def array(lines: Sequence[bytes]) -> bytes:
    """Return the lines as one JSON array."""
    return b"[%b]" % b",".join(lines)


def read(lines: Sequence[bytes]) -> list[Record]:
    """Return the records that the lines are.

    Raises:
        BadRecord: when one of them isn't a record, or could not be stored everywhere.
    """
    whole = array(lines)
    if NUL.search(whole):
        raise BadRecord("a NUL character")
    try:
        return _read_records(whole)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRecord(type(error).__name__) from None
