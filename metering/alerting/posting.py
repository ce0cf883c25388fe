"""Posts to a customer's server: to an address checked each time, no further, and for a few seconds in all.

Of the answer only the status is read, and nothing else of it is ever shown: a webhook tells its owner no more about
a place than that something answers there.
"""

import asyncio
from typing import Final

import httpx2
from django.conf import settings

from metering import addresses, alerts
from metering.alerts import Tried
from metering.pinned import AsyncPinnedTransport

WITHIN: Final = 8.0  # seconds, from connecting to the answer's head


def check(url: str) -> addresses.Pinned:
    """Return where to connect for ``url``, which may have a query. Blocks while the name is resolved.

    Raises:
        AddressRefused: when it isn't an address that we post to; says why.
    """
    where, _mark, query = url.partition("?")
    plain = len(url) <= addresses.LONGEST and query.isascii() and query.isprintable() and not set(query) & set(" #\\")
    return addresses.check(where if plain else url, allow_private=settings.ALLOW_PRIVATE_ENDPOINTS)


def post(*, url: str, headers: dict[str, str], body: bytes) -> Tried:
    """Post ``body``; return what came of it."""
    try:
        pin = check(url)
        return alerts.answered(asyncio.run(_status(url, headers, body, pin)))
    except addresses.AddressRefused:
        return Tried(outcome=alerts.ADDRESS_REFUSED)
    except (TimeoutError, httpx2.TimeoutException):
        return Tried(outcome=alerts.TOO_SLOW)
    except httpx2.HTTPError:
        return Tried(outcome=alerts.UNREACHABLE)


async def _status(url: str, headers: dict[str, str], body: bytes, pin: addresses.Pinned) -> int:
    # A deadline for all of it: a server that sends a byte of its head now and then would else hold us for ever.
    async with (
        asyncio.timeout(WITHIN),
        httpx2.AsyncClient(transport=AsyncPinnedTransport(pin), trust_env=False, timeout=WITHIN) as client,
        client.stream("POST", url, headers=headers, content=body, follow_redirects=False) as response,
    ):
        return response.status_code
