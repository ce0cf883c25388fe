"""Where usage records live: one Protocol, an implementation per kind of database."""

from metering.store.base import AgentUsage, BadRecord, Page, Store, StoreUnavailable
from metering.store.sql import SqlStore

__all__ = ["AgentUsage", "BadRecord", "Page", "Store", "StoreUnavailable", "get_store"]


def get_store() -> Store:
    """Return the store that ``METER_DATABASE_URL`` names."""
    return SqlStore()
