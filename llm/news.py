"""What one gateway process tells the others: agents that changed, and how our own keys are doing.

Times are seconds from now, as each process has a clock of its own.
"""

from typing import Final

import msgspec
from django.dispatch import Signal

# Sent with ``news`` by whoever learns something outside the gateway: the staff's pages, after checking a key.
learned: Final = Signal()


class AgentsChanged(msgspec.Struct, frozen=True, kw_only=True, tag="agents_changed"):
    """These agents aren't what is remembered of them any more."""

    agent_ids: list[str]


class KeyCools(msgspec.Struct, frozen=True, kw_only=True, tag="key_cools"):
    """A pool key is better left alone for so many seconds."""

    key_id: str
    seconds: float
    reason: str


class KeyWorks(msgspec.Struct, frozen=True, kw_only=True, tag="key_works"):
    """A pool key was checked and works: it needn't cool any longer."""

    key_id: str


class ProviderDown(msgspec.Struct, frozen=True, kw_only=True, tag="provider_down"):
    """A provider failed too often in a row: pass it over for so many seconds."""

    provider: str
    seconds: float


class ProviderUp(msgspec.Struct, frozen=True, kw_only=True, tag="provider_up"):
    """A provider that was in trouble has answered."""

    provider: str


PoolNews = KeyCools | KeyWorks | ProviderDown | ProviderUp
News = AgentsChanged | PoolNews


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """News on the wire. ``sender`` is one process's ear and mouth, which needn't hear itself."""

    sender: str
    news: News


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Message).decode
