"""Pieces of several tool calls, however a provider mixes or numbers them, come out one call after another."""

import json
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from llm.translate.completion import Completion
from llm.translate.steps import Steps


def chunk(**delta):
    return msgspec.convert({"choices": [{"delta": delta}]}, Completion)


def piece(index, arguments="", *, name=None, call_id=None):
    call = {"index": index, "function": {"name": name, "arguments": arguments}}
    return chunk(tool_calls=[call | ({"id": call_id} if call_id else {})])


def begins(index, name):
    return piece(index, name=name, call_id=f"call_{name}")


def taken(*chunks):
    """The calls that come out, each with its arguments, and texts as they are."""
    steps = Steps()
    out: list[Any] = [step for each in chunks for step in steps.feed(each)] + list(steps.rest())
    found: list[Any] = []
    for step in out:
        if step.kind == "called":
            found.append([step.call.function.name, ""])
        elif step.kind == "arguments":
            found[-1][1] += step.text
        else:
            found.append([step.kind, step.text])
    return found


def test_one_call_after_another():
    chunks = [begins(0, "weather"), piece(0, '{"a"'), piece(0, ":1}"), begins(1, "time"), piece(1, "{}")]
    assert taken(*chunks) == [["weather", '{"a":1}'], ["time", "{}"]]


def test_a_call_without_arguments_waits_for_them_to_the_end():
    assert taken(begins(0, "weather"), begins(1, "time"), piece(1, "{}")) == [["weather", ""], ["time", "{}"]]


def test_calls_that_all_have_the_number_nought():
    chunks = [begins(0, "weather"), piece(0, "{}"), begins(0, "time"), piece(0, '{"a"'), piece(0, ":1}")]
    assert taken(*chunks) == [["weather", "{}"], ["time", '{"a":1}']]


def test_calls_without_a_number():
    whole = [
        {"id": "c1", "function": {"name": "weather", "arguments": "{}"}},
        {"id": "c2", "function": {"name": "time", "arguments": '{"a":1}'}},
    ]
    assert taken(chunk(tool_calls=whole)) == [["weather", "{}"], ["time", '{"a":1}']]


def test_words_before_and_after():
    chunks = [chunk(reasoning="Hm"), chunk(content="See: "), begins(0, "weather"), piece(0, "{}"), chunk(content="Ok")]
    assert taken(*chunks) == [["thought", "Hm"], ["said", "See: "], ["weather", "{}"], ["said", "Ok"]]


def test_mistrals_parts_are_thought_and_text():
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Yes"}]
    assert taken(chunk(content=parts)) == [["thought", "Hm"], ["said", "Yes"]]


VALUES = st.dictionaries(st.text("ab", min_size=1), st.text('xé{}"', max_size=4) | st.integers(), max_size=2)


@given(st.data())
def test_any_mixture_of_calls_comes_out_whole(data):
    wanted = [[f"tool{n}", json.dumps(data.draw(VALUES))] for n in range(data.draw(st.integers(1, 4)))]
    waiting = []
    for number, (name, arguments) in enumerate(wanted):
        cuts = sorted(data.draw(st.sets(st.integers(0, len(arguments)), max_size=3)))
        edges = [0, *cuts, len(arguments)]
        pieces = [piece(number, arguments[a:b]) for a, b in pairwise(edges)]
        waiting.append([begins(number, name), *pieces])
    mixed = []
    while any(waiting):
        mixed.append(data.draw(st.sampled_from([queue for queue in waiting if queue])).pop(0))
    assert sorted(taken(*mixed)) == sorted(wanted)
