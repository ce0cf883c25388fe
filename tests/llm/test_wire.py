"""The connection to a provider, byte by byte: no sockets, so that each test says what comes when."""

import asyncio
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import wire
from llm.wire import Connection, ConnectionBroken, Silent
from tests.llm.raw_server import whole

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
ANSWERS = {
    "content-length": whole(b"hello, Alex"),
    "chunked": CHUNKED + b"5\r\nhello\r\n6;x=y\r\n, Alex\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"b\r\nhello, Alex\r\n0\r\nx-sum: 1\r\ncontent-type: text/x-late\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + whole(b"hello, Alex"),
}


REQUEST = b"GET / HTTP/1.1\r\n\r\n"


class Transport(asyncio.Transport):
    """The other end: notes what it is told to do."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.unsent = 0
        self.aborted = False
        self.told: list[str] = []

    def write(self, data) -> None:
        self.sent.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")


class Line:
    """A connection with its other end in the test's hands."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.connection = Connection(asyncio.get_running_loop())
        self.connection.connection_made(self.transport)

    async def ask(self, *, silence: float = 60.0) -> "asyncio.Task[None]":
        asking = await self.begin(silence=silence)
        await asyncio.sleep(0)  # requests leave at the end of a turn
        return asking

    async def begin(self, *, silence: float = 60.0) -> "asyncio.Task[None]":
        """Ask; the request is still to be sent."""
        asking = asyncio.create_task(self.connection.request(REQUEST, silence=silence))
        await asyncio.sleep(0)
        return asking

    async def answered(self, *pieces: bytes, then_closed: bool = False) -> bytes:
        """Ask, let the answer come in ``pieces``, and read it whole."""
        asking = await self.ask()
        for piece in pieces:
            self.connection.data_received(piece)
        if then_closed:
            self.connection.connection_lost(None)
        await asking
        return await self.connection.body()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_is_the_same_wherever_it_is_split(answer):
    for at in range(1, len(answer)):
        line = Line()
        assert await line.answered(answer[:at], answer[at:]) == b"hello, Alex"
        assert line.connection.status == 200
        assert line.connection.release()


@given(cuts=st.sets(st.integers(1, len(ANSWERS["chunked"]) - 1)), name=st.sampled_from(sorted(ANSWERS)))
async def test_an_answer_is_the_same_in_however_many_pieces(cuts, name):
    answer = ANSWERS[name]
    edges = [0, *sorted(cut for cut in cuts if cut < len(answer)), len(answer)]
    pieces = [answer[start:end] for start, end in pairwise(edges)]
    line = Line()
    assert await line.answered(*pieces) == b"hello, Alex"
    assert line.connection.release()


async def test_names_of_headers_are_lower_case_and_interim_ones_are_gone():
    line = Line()
    await line.answered(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", whole(b"", head=b"X-Request-ID: Abc\r\n"))
    assert line.connection.headers == [(b"content-length", b"0"), (b"x-request-id", b"Abc")]


async def test_trailers_are_not_headers():
    line = Line()
    await line.answered(ANSWERS["trailers"])
    assert line.connection.headers == [(b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_an_answer_without_a_body_ends_with_its_head(status):
    line = Line()
    assert await line.answered(b"HTTP/1.1 %b\r\ncontent-length: 5\r\n\r\n" % status) == b""
    assert line.connection.release()


async def test_a_body_without_a_length_lasts_as_long_as_the_connection():
    line = Line()
    assert await line.answered(b"HTTP/1.1 200 OK\r\n\r\nhello", b", Alex", then_closed=True) == b"hello, Alex"
    assert not line.connection.release()


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nconnection: close\r\n", b"HTTP/1.0 200 OK\r\n"])
async def test_who_says_that_it_closes_is_not_asked_again(head):
    line = Line()
    assert await line.answered(head + b"content-length: 2\r\n\r\nok") == b"ok"
    assert not line.connection.release()
    assert line.transport.aborted


async def test_a_connection_answers_one_request_after_another():
    line = Line()
    for body in (b"one", b"two", b"three"):
        assert await line.answered(whole(body)) == body
        assert line.connection.release()
        assert line.connection.usable


async def test_a_connection_is_given_back_once():
    line = Line()
    await line.answered(whole(b"ok"))
    assert line.connection.release()
    assert not line.connection.release()
    assert line.connection.usable


@pytest.mark.parametrize(
    "more", [b"junk", whole(b"for somebody else"), b"HTTP/1.1 2"], ids=["junk", "an answer", "the start of one"]
)
async def test_what_comes_after_the_answer_is_nobodys(more):
    together, apart, later = Line(), Line(), Line()
    assert await together.answered(whole(b"ok") + more) == b"ok"
    assert await apart.answered(whole(b"ok"), more) == b"ok"
    assert [together.connection.release(), apart.connection.release()] == [False, False]
    assert await later.answered(whole(b"ok")) == b"ok"
    assert later.connection.release()
    later.connection.data_received(more)  # nobody has asked for it
    assert not later.connection.usable
    assert later.transport.aborted


async def test_requests_leave_at_the_end_of_a_turn():
    alex, elena = Line(), Line()
    asking = [await alex.begin(), asyncio.create_task(elena.connection.request(REQUEST, silence=60.0))]
    assert alex.transport.sent == []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert alex.transport.sent == elena.transport.sent == [REQUEST]
    for line in (alex, elena):
        line.connection.data_received(whole(b"ok"))
    await asyncio.gather(*asking)


async def test_a_request_whose_caller_leaves_in_the_same_turn_is_not_sent():
    line = Line()
    asking = await line.begin()
    asking.cancel()
    line.connection.release()
    await asyncio.sleep(0)
    assert line.transport.sent == []
    assert line.transport.aborted


async def test_what_comes_before_the_request_has_left_is_no_answer_to_it():
    line = Line()
    asking = await line.begin()
    line.connection.data_received(whole(b"somebody else's"))
    with pytest.raises(ConnectionBroken) as broken:
        await asking
    assert broken.value.before_answer  # so that it's asked anew
    assert line.transport.sent == []
    assert line.transport.aborted


async def test_a_request_that_was_answered_before_it_was_sent_spoils_the_connection():
    line = Line()
    line.transport.unsent = 1
    assert await line.answered(whole(b"too large")) == b"too large"
    assert not line.connection.release()
    assert line.transport.aborted


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 700 Beyond\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n folded\r\n\r\n",
    ],
)
async def test_what_is_not_an_answer_breaks_the_connection(nonsense):
    line = Line()
    with pytest.raises(ConnectionBroken) as broken:
        await line.answered(nonsense)
    assert not broken.value.before_answer
    assert line.transport.aborted


@pytest.mark.parametrize(
    "bomb",
    [
        [b"HTTP/1.1 200 " + b"O" * 70_000],
        [b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n", *[b"x: aaaaaaaaaaaaaa\r\n"] * 201, b"\r\n"],
        [b"HTTP/1.1 200 OK\r\nx: ", *[b"a" * 1000] * 70],
        [b"HTTP/1.1 103 Early Hints\r\nx: aaaaaaaaaaaaaa\r\n\r\n"] * 3000,
    ],
    ids=["a reason", "one header", "many headers", "a header without end", "interim answers without end"],
)
async def test_a_head_has_its_limits(bomb):
    line = Line()
    with pytest.raises(ConnectionBroken):
        await line.answered(*bomb)
    assert line.transport.aborted


@pytest.mark.parametrize("endless", [b"0\r\nx: ", b"5;x="], ids=["trailers", "extensions of a chunk"])
async def test_what_comes_beside_the_body_has_its_limits_too(endless):
    line = Line()
    with pytest.raises(ConnectionBroken):
        await line.answered(CHUNKED + b"2\r\nok\r\n" + endless, *[b"a" * 1000] * 70)
    assert line.transport.aborted


async def test_a_long_stream_of_small_pieces_is_no_bomb():
    line = Line()
    asking = await line.ask()
    line.connection.data_received(CHUNKED)
    await asking
    for _ in range(20_000):
        line.connection.data_received(b"1\r\na\r\n")
    line.connection.data_received(b"0\r\n\r\n")
    assert await line.connection.body() == b"a" * 20_000


async def test_a_whole_body_has_its_limit(monkeypatch):
    monkeypatch.setattr(wire, "BODY_AT_MOST", 1000)
    line = Line()
    with pytest.raises(ConnectionBroken):
        await line.answered(whole(b"a" * 1001))


@pytest.mark.parametrize("sent", [b"", b"H", b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_an_end_before_the_head_tells_whether_anything_had_come(sent):
    line = Line()
    with pytest.raises(ConnectionBroken) as broken:
        await line.answered(*([sent] if sent else []), then_closed=True)
    assert broken.value.before_answer == (not sent)


@pytest.mark.parametrize(
    "sent", [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n", CHUNKED + b"9\r\nhello"]
)
async def test_what_came_before_a_cut_is_read_and_then_the_cut(sent):
    line = Line()
    asking = await line.ask()
    line.connection.data_received(sent)
    line.connection.connection_lost(None)
    await asking
    assert await line.connection.read() == b"hello"
    with pytest.raises(ConnectionBroken):
        await line.connection.read()


async def test_a_reset_does_not_end_a_body_properly():
    line = Line()
    asking = await line.ask()
    line.connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nhello")
    line.connection.connection_lost(ConnectionResetError())
    await asking
    with pytest.raises(ConnectionBroken):
        await line.connection.body()


async def test_silence_before_the_head_and_in_the_body_is_noticed():
    line = Line()
    with pytest.raises(Silent):
        await line.connection.request(b"GET / HTTP/1.1\r\n\r\n", silence=0.01)
    assert line.transport.aborted
    line = Line()
    asking = await line.ask(silence=0.01)
    line.connection.data_received(CHUNKED)
    await asking
    with pytest.raises(Silent):
        await line.connection.read()
    assert line.transport.aborted


async def test_a_reader_who_takes_long_is_not_taken_for_a_silent_provider(monkeypatch):
    monkeypatch.setattr(wire, "BUFFERED_AT_MOST", 10)
    line = Line()
    asking = await line.ask(silence=0.02)
    line.connection.data_received(CHUNKED + b"b\r\nhello, Alex\r\n")
    await asking
    assert line.transport.told == ["pause"]
    await asyncio.sleep(0.06)  # three silences
    assert await line.connection.read() == b"hello, Alex"
    assert line.transport.told == ["pause", "resume"]
    line.connection.data_received(b"0\r\n\r\n")
    assert await line.connection.read() == b""
    assert line.connection.release()


async def test_an_answer_that_nobody_has_read_yet_cannot_fall_silent():
    line = Line()
    asking = await line.ask(silence=0.01)
    line.connection.data_received(whole(b"ok"))
    await asking
    await asyncio.sleep(0.03)
    assert await line.connection.body() == b"ok"
    assert line.connection.release()


@pytest.mark.parametrize("sent", [b"", CHUNKED])
async def test_no_timer_outlives_its_request(sent):
    line = Line()
    asking = await line.ask(silence=0.01)
    if sent:
        line.connection.data_received(sent)
        await asking
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    line.connection.release()
    await asyncio.sleep(0.03)
    line.connection.connection_lost(None)
    with pytest.raises(ConnectionBroken):  # and not Silent
        await line.connection.read()


async def test_a_slow_reader_stops_the_provider_and_memory_stays_bounded():
    size = wire.BUFFERED_AT_MOST
    line = Line()
    asking = await line.ask()
    line.connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (4 * size))
    await asking
    line.connection.data_received(b"a" * size)
    assert line.transport.told == []
    line.connection.data_received(b"a")
    assert line.transport.told == ["pause"]
    assert len(await line.connection.read()) == size + 1
    assert line.transport.told == ["pause", "resume"]
