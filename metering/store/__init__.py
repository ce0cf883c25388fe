"""Where usage records live: one Protocol, an implementation per kind of database."""

from django.conf import settings

from metering.store.base import AgentUsage, BadRecord, Page, Store, StoreUnavailable
from metering.store.sql import SqlStore

__all__ = ["AgentUsage", "BadRecord", "Page", "Store", "StoreUnavailable", "get_store"]


def get_store() -> Store:
    """Return the store that ``METER_DATABASE_URL`` names."""
    if settings.METER_MONGODB_URL:
        from metering.store.mongo import MongoStore  # whose client library is for those who have a MongoDB

        return MongoStore(settings.METER_MONGODB_URL)
    return SqlStore()
