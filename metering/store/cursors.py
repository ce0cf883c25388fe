"""Where a page of records ends and the next one begins, as text that travels in addresses."""

import base64
import binascii
from datetime import datetime, timedelta
from uuid import UUID

from metering.models import UsageRecord


def after(record: UsageRecord) -> str:
    """Return the cursor of the page that begins after a record."""
    return base64.urlsafe_b64encode(f"{record.timestamp.isoformat()} {record.id}".encode()).decode()


def read(cursor: str) -> tuple[datetime, UUID]:
    """Return the moment and the id of the record that a page begins after.

    Raises:
        ValueError: for a cursor that no page gave.
    """
    try:
        text, record_id = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() == timedelta():
            return moment, UUID(record_id)
    except (ValueError, binascii.Error):
        pass
    raise ValueError("that cursor is none of ours")
