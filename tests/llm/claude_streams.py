"""Anthropic's streams, as tests need them: written by hand, or generated."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

MESSAGE: dict[str, Any] = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
}


def event(kind, **fields):
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def begins(**usage):
    counts = {"input_tokens": 10, "output_tokens": 1, **usage}
    return event("message_start", message={**MESSAGE, "usage": counts})


def block_begins(index, **block):
    return event("content_block_start", index=index, content_block=block)


def delta(index, kind, **fields):
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def block_ends(index):
    return event("content_block_stop", index=index)


def ends(stop_reason="end_turn", output=5, **fields):
    change = {"stop_reason": stop_reason, "stop_sequence": None, **fields}
    return event("message_delta", delta=change, usage={"output_tokens": output})


def text_block(index, *pieces):
    return b"".join(
        [
            block_begins(index, type="text", text=""),
            *(delta(index, "text_delta", text=piece) for piece in pieces),
            block_ends(index),
        ]
    )


def tool_block(index, tool_id, name, *pieces):
    return b"".join(
        [
            block_begins(index, type="tool_use", id=tool_id, name=name, input={}),
            *(delta(index, "input_json_delta", partial_json=piece) for piece in pieces),
            block_ends(index),
        ]
    )


def thinking_block(index, signature, *pieces):
    return b"".join(
        [
            block_begins(index, type="thinking", thinking="", signature=""),
            *(delta(index, "thinking_delta", thinking=piece) for piece in pieces),
            delta(index, "signature_delta", signature=signature),
            block_ends(index),
        ]
    )


STOP = event("message_stop")
PING = event("ping")

# --- Generated ----------------------------------------------------------------------------------

PIECES = st.lists(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("é€😀"), max_size=8), max_size=4)
COUNTS = st.integers(0, 10**6)


def pieces_of(text, cuts):
    edges = [0, *sorted(cut for cut in cuts if cut <= len(text)), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


@st.composite
def blocks(draw, index):
    """One block: its bytes in the stream, and the block of the whole answer that it adds up to."""
    kind = draw(st.sampled_from(["text", "tool_use", "thinking", "redacted_thinking"]))
    if kind == "text":
        pieces = draw(PIECES)
        return text_block(index, *pieces), {"type": "text", "text": "".join(pieces)}
    if kind == "thinking":
        pieces = draw(PIECES)
        block = {"type": kind, "thinking": "".join(pieces), "signature": f"c2ln{index}"}
        return thinking_block(index, block["signature"], *pieces), block
    if kind == "redacted_thinking":
        block = {"type": kind, "data": f"b3BhcXVl{index}"}
        return block_begins(index, **block) + block_ends(index), block
    given = draw(st.dictionaries(st.text("abé", min_size=1, max_size=3), st.text("xy€😀", max_size=4), max_size=3))
    arguments = json.dumps(given, ensure_ascii=False) if given else ""
    cuts = draw(st.sets(st.integers(1, 20), max_size=4))
    block = {"type": kind, "id": f"toolu_{index}", "name": "weather", "input": given}
    return tool_block(index, block["id"], "weather", *pieces_of(arguments, cuts)), block


@st.composite
def answers(draw):
    """A stream, and the body of the same answer given whole."""
    usage = {
        "input_tokens": draw(COUNTS),
        "cache_read_input_tokens": draw(COUNTS | st.none()),
        "cache_creation_input_tokens": None,
        "cache_creation": None,
    }
    if draw(st.booleans()):
        split = {"ephemeral_5m_input_tokens": draw(COUNTS), "ephemeral_1h_input_tokens": draw(COUNTS)}
        usage |= {"cache_creation": split, "cache_creation_input_tokens": sum(split.values())}
    output, stop = draw(COUNTS), draw(st.sampled_from(["end_turn", "max_tokens", "stop_sequence", "tool_use"]))
    stream = [event("message_start", message={**MESSAGE, "usage": {**usage, "output_tokens": 1}})]
    content = []
    for index in range(draw(st.integers(0, 4))):
        data, block = draw(blocks(index))
        stream.append(data)
        content.append(block)
        if draw(st.booleans()):
            stream.append(PING)
    reported = {"output_tokens": output}
    if draw(st.booleans()):
        reported |= {name: count for name, count in usage.items() if name != "cache_creation"}
    stream += [event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage=reported), STOP]
    whole = {**MESSAGE, "content": content, "stop_reason": stop, "usage": {**usage, "output_tokens": output}}
    return b"".join(stream), json.dumps(whole, ensure_ascii=False).encode()


@st.composite
def split(draw, stream):
    """The same bytes in pieces cut anywhere."""
    cuts = sorted(draw(st.sets(st.integers(0, len(stream)), max_size=20)))
    edges = [0, *cuts, len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]
