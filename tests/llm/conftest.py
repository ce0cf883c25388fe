"""Which event loops the gateway's tests run on: asyncio's, and what talks to providers on the servers' uvloop too."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

ON_BOTH = ("test_client.py",)


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name in ON_BOTH:
        loops["uvloop"] = uvloop.new_event_loop
    return loops
