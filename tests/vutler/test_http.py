"""What leaves for callers leaves at the end of a turn of the event loop, in one piece."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from vutler.http import HELD_AT_MOST, Protocol

ASKED = b"GET /v1/models HTTP/1.1\r\nhost: vutler.example\r\n\r\n"
LAST = b"GET /v1/models HTTP/1.1\r\nhost: vutler.example\r\nconnection: close\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
HELLO = {"type": "http.response.body", "body": b"hello"}

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Transport(asyncio.Transport):
    """The caller's end: notes what reaches it, and when it's over."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, _name, default=None):
        return default


def caller(app: Callable[[Send], Awaitable[None]]) -> tuple[Protocol, Transport]:
    """Return a connection to a server of ``app``, and its other end."""

    async def application(_scope, _receive, send) -> None:
        await app(send)

    config = Config(application, lifespan="off", ws="none", server_header=False, date_header=False)
    config.load()
    protocol = Protocol(config, ServerState(), {}, asyncio.get_running_loop())
    transport = Transport()
    protocol.connection_made(transport)
    return protocol, transport


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_answer_leaves_in_one_piece():
    async def hello(send: Send) -> None:
        await send(START)
        await send(HELLO)

    protocol, transport = caller(hello)
    protocol.data_received(ASKED)
    await turns()
    assert transport.sent == [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"]


async def test_answers_that_end_together_leave_once_both_are_written():
    both = asyncio.Event()
    seen: list[int] = []

    async def hello(send: Send) -> None:
        await both.wait()
        await send(START)
        await send(HELLO)
        seen.append(len(alex.sent) + len(elena.sent))

    (to_alex, alex), (to_elena, elena) = caller(hello), caller(hello)
    to_alex.data_received(ASKED)
    to_elena.data_received(ASKED)
    await turns()
    both.set()
    await turns()
    assert seen == [0, 0]
    assert alex.sent == elena.sent
    assert len(alex.sent) == 1


async def test_a_stream_reaches_its_caller_turn_by_turn():
    more = asyncio.Event()

    async def stream(send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: Hel\n\n", "more_body": True})
        await more.wait()
        await send({"type": "http.response.body", "body": b"data: lo\n\n"})

    protocol, transport = caller(stream)
    protocol.data_received(ASKED)
    await turns()
    assert transport.sent == [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\ndata: Hel\n\n\r\n"]
    more.set()
    await turns()
    assert transport.sent[1:] == [b"a\r\ndata: lo\n\n\r\n0\r\n\r\n"]


async def test_much_at_once_is_not_kept_until_the_turn_ends():
    size = HELD_AT_MOST // 2 + 1
    reached: list[int] = []

    async def flood(send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % (4 * size))]})
        for left in (3, 2, 1, 0):
            await send({"type": "http.response.body", "body": b"x" * size, "more_body": left > 0})
            reached.append(sum(map(len, transport.sent)) // size)

    protocol, transport = caller(flood)
    protocol.data_received(ASKED)
    await turns()
    assert reached == [0, 2, 2, 4]


async def test_what_is_written_before_a_connection_ends_is_sent():
    async def hello(send: Send) -> None:
        await send(START)
        await send(HELLO)
        assert transport.sent  # closed at once, and not without the answer

    protocol, transport = caller(hello)
    protocol.data_received(LAST)
    await turns()
    assert transport.sent == [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"]
    assert transport.closed


async def test_nothing_is_sent_to_a_caller_who_left_in_the_same_turn():
    async def hello(send: Send) -> None:
        await send(START)
        transport.close()

    protocol, transport = caller(hello)
    protocol.data_received(ASKED)
    await turns()
    assert transport.sent == []
