"""Connections that go to one checked address and nowhere else: of the SDKs, and of webhooks."""

import time
from collections.abc import Iterator
from typing import Final

import httpx2

from metering.addresses import PORTS, Pinned

MOST_BYTES: Final = 8 * 1024 * 1024
MOST_SECONDS: Final = 20.0


class PinnedTransport(httpx2.BaseTransport):
    """Connects to ``pin.ip`` while Host and TLS name ``pin.host``; refuses every other place.

    The server at the other end is a stranger's: what it sends is bounded in bytes and seconds, and must come
    uncompressed, as a small compressed answer may grow without bounds.
    """

    def __init__(self, pin: Pinned) -> None:
        self._pin = pin
        self._inner = httpx2.HTTPTransport(trust_env=False)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send ``request`` to the checked address.

        Raises:
            httpx2.ConnectError: when it is meant for another place.
            httpx2.ReadError: when the answer is compressed or grows too long.
        """
        _aim(request, self._pin)
        response = self._inner.handle_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise httpx2.ReadError("compressed though asked not to", request=request)
        response.stream = _Bounded(response, request)
        return response

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()


class AsyncPinnedTransport(httpx2.AsyncBaseTransport):
    """The same for who waits no longer than a time of their own, and reads no further than the answer's head."""

    def __init__(self, pin: Pinned) -> None:
        self._pin = pin
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send ``request`` to the checked address.

        Raises:
            httpx2.ConnectError: when it is meant for another place.
        """
        _aim(request, self._pin)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()


def _aim(request: httpx2.Request, pin: Pinned) -> None:
    """Send ``request`` to ``pin.ip``.

    Raises:
        httpx2.ConnectError: when it is meant for another place.
    """
    url = request.url
    port = url.port or PORTS.get(url.scheme)
    if (url.scheme, url.host, port) != (pin.scheme, pin.host, pin.port):
        raise httpx2.ConnectError("not the address that was checked", request=request)
    request.headers["accept-encoding"] = "identity"
    request.extensions = {**request.extensions, "sni_hostname": pin.host}
    request.url = url.copy_with(host=pin.ip)


class _Bounded(httpx2.SyncByteStream):
    """A body that fails once it grows past its bounds."""

    def __init__(self, response: httpx2.Response, request: httpx2.Request) -> None:
        self._stream = response.stream
        self._request = request
        self._until = time.monotonic() + MOST_SECONDS

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        assert isinstance(self._stream, httpx2.SyncByteStream)  # noqa: S101 - what a sync transport gives
        for chunk in self._stream:
            size += len(chunk)
            if size > MOST_BYTES or time.monotonic() > self._until:
                raise httpx2.ReadError("the answer doesn't end", request=self._request)
            yield chunk

    def close(self) -> None:
        assert isinstance(self._stream, httpx2.SyncByteStream)  # noqa: S101
        self._stream.close()
