"""Who a URL leads to: looked up once a minute, and checked where it is a customer's own."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from llm.errors import UpstreamTimeout, UpstreamUnavailable
from metering import addresses

GOOD_FOR: Final = 60.0  # seconds until a Custom endpoint's name is looked up, and checked, anew
LOOK_UP_WITHIN: Final = 10.0  # seconds
REMEMBERED_AT_MOST: Final = 4096
PORTS: Final = {"https": 443, "http": 80}


class Origin(NamedTuple):
    """Who a connection leads to. ``ip`` is set where only that address was found fit."""

    scheme: str
    host: str
    port: int
    ip: str | None

    @property
    def address(self) -> str:
        """Where to connect."""
        return self.ip or self.host

    @property
    def host_header(self) -> str:
        """The name to ask for."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


class Origins:
    """Origins by the part of a URL that names them.

    A guarded one (a customer's own) is looked up once, checked, and connected to as looked up, so that a name
    whose answer changes a moment later leads nowhere else.
    """

    def __init__(self, *, allow_private: bool) -> None:
        """Refuse guarded origins on private addresses, unless they are allowed."""
        self._allow_private = allow_private
        self._known: dict[tuple[str, bool], tuple[Origin, float]] = {}
        self._looked_up: dict[tuple[str, bool], asyncio.Future[addresses.Pinned]] = {}
        # Their own threads: a name that takes long to answer keeps nobody waiting but those who use such names.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="origins")

    async def of(self, url: str, *, guarded: bool) -> tuple[Origin, str]:
        """Return whom to connect to for ``url``, and the path to ask for.

        Raises:
            UpstreamUnavailable: when it leads nowhere that we go.
            UpstreamTimeout: when its name can't be looked up in time.
        """
        scheme, _colon, rest = url.partition("://")
        authority, _slash, path = rest.partition("/")
        named = f"{scheme}://{authority}", guarded
        now = monotonic()
        known = self._known.get(named)
        if known is None or known[1] < now:
            origin = await self._checked(url, named) if guarded else _own(url)
            if len(self._known) >= REMEMBERED_AT_MOST:
                self._known.clear()
            known = self._known[named] = origin, now + GOOD_FOR
        return known[0], f"/{path}"

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _checked(self, url: str, named: tuple[str, bool]) -> Origin:
        looked_up = self._looked_up.get(named)
        if looked_up is None:
            loop = asyncio.get_running_loop()
            looked_up = self._looked_up[named] = loop.run_in_executor(self._threads, self._check, url)
            looked_up.add_done_callback(lambda _done: self._looked_up.pop(named, None))
        try:
            # Shielded: one caller who leaves doesn't spoil it for the others who wait for the same name.
            pinned = await asyncio.wait_for(asyncio.shield(looked_up), LOOK_UP_WITHIN)
        except addresses.AddressRefused as refused:
            raise UpstreamUnavailable(str(refused)) from None
        except TimeoutError:
            raise UpstreamTimeout("The provider's name can't be looked up: that took too long. Try again.") from None
        return Origin(pinned.scheme, pinned.host, pinned.port, pinned.ip)

    def _check(self, url: str) -> addresses.Pinned:
        return addresses.check(url, allow_private=self._allow_private)


def _own(url: str) -> Origin:
    """Return the origin of a provider's address, which staff set."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise UpstreamUnavailable("The provider's address isn't set up rightly on our side.")
    return Origin(parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme], None)
