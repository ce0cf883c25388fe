"""The reader of server-sent events: the same events however the bytes arrive, and not a byte changed."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.sse import Events, EventTooLong, data_of, name_of

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
TEXT = st.text(
    st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]) | st.sampled_from("é€😀:\ufeff "), max_size=12
)
LINES = st.one_of(
    TEXT.map(lambda text: f"data: {text}"),
    TEXT.map(lambda text: f"data:{text}"),
    TEXT.map(lambda text: f"event: {text}"),
    TEXT.map(lambda text: f": {text}"),
    st.sampled_from(["data", "event", "id: 7", "retry: 10", "datum: x", ""]),
)


@st.composite
def streams(draw):
    """A stream of lines with any mixture of line ends, perhaps with a byte order mark, perhaps cut at the end."""
    lines = draw(st.lists(st.tuples(LINES, LINE_ENDS), max_size=14))
    body = b"".join(line.encode() + end for line, end in lines)
    tail = draw(TEXT).encode()
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + body + tail


@st.composite
def pieces(draw, stream):
    """The same bytes cut anywhere, in the middle of a character or of a CRLF too."""
    cuts = sorted(draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def read(parts):
    reader = Events()
    events = [event for part in parts for event in reader.feed(part)]
    return events, reader.rest()


def dispatched(stream):
    """What a browser would dispatch, written line by line from the standard: the data and names of events."""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))
    found: list[tuple[bytes, bytes]] = []
    data: list[bytes] = []
    name = b""
    for line in lines[:-1]:
        field, _, value = line.partition(b":")
        if not line:
            if data:
                found.append((b"\n".join(data), name or b"message"))
            data, name = [], b""
        elif field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return found


@given(st.data())
def test_the_same_events_come_out_however_the_bytes_arrive(data):
    stream = data.draw(streams())
    whole = read([stream])
    assert read(data.draw(pieces(stream))) == whole
    assert read([stream[i : i + 1] for i in range(len(stream))]) == whole


@given(st.data())
def test_not_a_byte_is_added_lost_or_changed(data):
    stream = data.draw(streams())
    events, rest = read(data.draw(pieces(stream)))
    assert b"".join(events) + rest == stream


@given(streams())
def test_the_data_and_names_are_those_a_browser_would_see(stream):
    # One more byte settles whether a last CR was half of a CRLF; it begins a line that never ends.
    events, _ = read([stream, b"\x00"])
    seen = [(data_of(event), name_of(event)) for event in events]
    expected = dispatched(stream + b"\x00")
    assert [pair for pair in seen if pair[0]] == [pair for pair in expected if pair[0]]


def test_two_events_in_one_read_are_two_events():
    assert Events().feed(b"data: 1\n\ndata: 2\n\ndata: 3") == [b"data: 1\n\n", b"data: 2\n\n"]


def test_a_crlf_cut_in_the_middle_ends_one_event_not_two():
    reader = Events()
    assert reader.feed(b"data: 1\r\n\r") == []
    assert reader.feed(b"\ndata: 2\r\n\r\n") == [b"data: 1\r\n\r\n", b"data: 2\r\n\r\n"]


def test_a_cr_at_the_end_waits_for_the_byte_that_tells_what_it_is():
    reader = Events()
    assert reader.feed(b"data: 1\r\r") == []
    assert reader.feed(b"data: 2") == [b"data: 1\r\r"]
    assert reader.rest() == b"data: 2"


def test_a_character_cut_in_the_middle_is_whole_again():
    reader = Events()
    stream = "data: caf\u00e9 \U0001f600\n\n".encode()
    assert reader.feed(stream[:10]) == []
    assert reader.feed(stream[10:14]) == []
    assert data_of(reader.feed(stream[14:])[0]).decode() == "caf\u00e9 \U0001f600"


def test_a_comment_has_no_data_and_several_data_lines_are_joined():
    assert data_of(b": hello\n\n") == b""
    assert data_of(b"event: x\ndata: 1\n: no\ndata:2\n\n") == b"1\n2"
    assert data_of(b"data: 1\rdata: 2\n\n") == b"1\n2"


def test_the_first_event_is_read_past_a_byte_order_mark():
    assert data_of(b"\xef\xbb\xbfdata: 1\n\n") == b"1"
    assert name_of(b"\xef\xbb\xbfevent: ping\n\n") == b"ping"


def test_the_last_name_counts_and_no_name_is_message():
    assert name_of(b"event: a\nevent: b\ndata: 1\n\n") == b"b"
    assert name_of(b"data: 1\n\n") == b"message"
    assert name_of(b"event:\ndata: 1\n\n") == b"message"


def test_an_event_without_end_is_refused_past_the_limit():
    reader = Events(limit=10)
    assert reader.feed(b"data: 1234") == []
    with pytest.raises(EventTooLong):
        reader.feed(b"5")
