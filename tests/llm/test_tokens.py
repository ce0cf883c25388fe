"""What no provider counted is estimated, by a tokenizer that needs no download."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import tokens


def body(**fields):
    return json.dumps(fields, ensure_ascii=False).encode()


def said(content):
    return body(model="gpt-4o-mini", messages=[{"role": "user", "content": content}])


def test_words_count_as_openai_counts_them():
    assert tokens.count(["hello world"]) == 2
    assert tokens.count(["Antidisestablishmentarianism"]) == 6
    assert tokens.count([]) == 0


def test_a_message_counts_with_what_stands_around_it():
    # 2 for the words, 3 around the message and 3 for the start of the answer
    assert tokens.prompt(said("hello world")) == 8


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": "hello world"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hello world"}]}]},
        {"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello world"}]}]},
    ],
)
def test_every_dialect_counts_the_same(fields):
    assert tokens.prompt(body(**fields)) == 8


def test_the_system_prompt_counts():
    assert tokens.prompt(body(system="hello world", messages=[{"role": "user", "content": "hello world"}])) == 10


def test_what_is_to_be_embedded_counts_as_text_or_as_the_tokens_it_is():
    assert tokens.prompt(body(input="hello world")) == 2
    assert tokens.prompt(body(input=["hello world", "hello"])) == 3
    assert tokens.prompt(body(input=[101, 102, 103])) == 3
    assert tokens.prompt(body(input=[[101, 102], [103]])) == 3


def test_tools_count_with_their_schemas():
    schema = {"type": "object", "properties": {"town": {"type": "string"}}}
    with_tools = body(
        messages=[{"role": "user", "content": "hello world"}], tools=[{"name": "weather", "input_schema": schema}]
    )
    assert 20 < tokens.prompt(with_tools) < 50


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo" * 50_000}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 50_000}},
        {"type": "image_url", "image_url": {"url": "https://bakery.example/cake.png"}},
    ],
)
def test_an_image_is_an_image_whatever_its_size(part):
    assert tokens.prompt(said([part])) == 1_006


def test_a_long_body_is_judged_by_a_part_of_it_and_base64_is_no_text():
    assert tokens.prompt(said("word " * 1_000_000)) == pytest.approx(1_000_000, rel=0.01)
    image = {"type": "image", "source": {"type": "base64", "data": "iVBORw0KGgo" * 500_000}}
    assert tokens.prompt(said([image, {"type": "text", "text": "hello world"}])) == pytest.approx(1_000, rel=0.1)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(said))
def test_any_body_has_an_estimate(raw):
    assert tokens.prompt(raw) >= 0


def test_an_answer_is_judged_by_its_beginning_however_long_it_is():
    output = tokens.Output()
    assert output.tokens == 0
    for _ in range(10_000):
        output.add("word ")
    assert output.tokens == pytest.approx(10_000, rel=0.01)


def test_a_single_letter_is_a_token():
    output = tokens.Output()
    output.add("")
    output.add("a")
    assert output.tokens == 1
