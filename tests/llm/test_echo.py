"""The official SDKs against the echo provider: what it says, and that what it counts is true."""

import json
from typing import Any

import anthropic
import jsonschema
import openai
import pytest

from llm.providers.echo.prompt import IMAGE_TOKENS, TOOL_TOKENS
from llm.providers.echo.schema import instance

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ROOM = {"type": "object", "properties": {"floor": {"type": "integer", "minimum": 3}}, "required": ["floor"]}
OPENAI_TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Tells it", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "room", "parameters": ROOM}},
]
ANTHROPIC_TOOLS = [{"name": "weather", "input_schema": WEATHER}, {"name": "room", "input_schema": ROOM}]


@pytest.fixture
def gpt(echo):
    with openai.OpenAI(base_url=echo.url("openai"), api_key="sk-alex", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(echo):
    with anthropic.Anthropic(base_url=echo.url("anthropic"), api_key="sk-ant-alex", max_retries=0) as client:
        yield client


def user(content) -> list[Any]:
    return [{"role": "user", "content": content}]


def test_alex_hears_himself(echo, gpt):
    system = {"role": "system", "content": "Be brief"}
    answer = gpt.chat.completions.create(model="gpt-4o-mini", messages=[system, *user("Hello there")])
    assert answer.choices[0].message.content == "You said: Hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (4, 4, 8)
    [received] = echo.requests()
    assert (received.outcome, received.provider, received.status) == ("answered", "openai", 200)
    assert received.headers["authorization"] == "Bearer sk-alex"
    assert received.json()["messages"][1]["content"] == "Hello there"


def test_directives_are_counted_but_not_repeated(gpt):
    text = "Hello [[cached=100]] [[reasoning=20]] [[model=gpt-5]] there [[unknown=1]]"
    answer = gpt.chat.completions.create(model="gpt-4o-mini", messages=user(text))
    assert answer.choices[0].message.content == "You said: Hello there [[unknown=1]]"
    assert answer.model == "gpt-5"
    assert answer.usage.prompt_tokens == 6 + 100
    assert answer.usage.prompt_tokens_details.cached_tokens == 100
    assert answer.usage.completion_tokens == 5 + 20
    assert answer.usage.completion_tokens_details.reasoning_tokens == 20


@pytest.mark.parametrize("asked", [True, False])
def test_a_stream_reports_usage_where_it_was_asked_for(gpt, asked):
    options = {"stream_options": {"include_usage": True}} if asked else {}
    chunks = list(gpt.chat.completions.create(model="m", messages=user("Hello there"), stream=True, **options))
    spoken = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert [word for word in spoken if word] == ["You ", "said: ", "Hello ", "there"]
    reported = [chunk.usage for chunk in chunks if chunk.usage]
    assert [(usage.prompt_tokens, usage.completion_tokens) for usage in reported] == ([(2, 4)] if asked else [])
    assert chunks[-1].choices == [] if asked else chunks[-1].choices[0].finish_reason == "stop"


def test_the_limit_and_stop_sequences_are_kept_to(gpt, claude):
    long = gpt.chat.completions.create(model="m", messages=user("[[words=500]]"), max_completion_tokens=3)
    assert (long.choices[0].message.content, long.choices[0].finish_reason) == ("word1 word2 word3", "length")
    assert long.usage.completion_tokens == 3
    stopped = claude.messages.create(
        model="m", max_tokens=99, messages=user("one two three"), stop_sequences=[" three"]
    )
    assert (stopped.content[0].text, stopped.stop_reason) == ("You said: one two", "stop_sequence")
    assert stopped.stop_sequence == " three"


def test_two_tools_are_called_at_once_and_their_results_read(gpt):
    messages = user("Paris [[tools=2]]")
    asked = gpt.chat.completions.create(model="m", messages=messages, tools=OPENAI_TOOLS)
    calls = asked.choices[0].message.tool_calls
    assert asked.choices[0].finish_reason == "tool_calls"
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("weather", '{"city":"Paris"}'),
        ("room", '{"floor":3}'),
    ]
    assert asked.usage.prompt_tokens == 2 + 2 * TOOL_TOKENS
    assert asked.usage.completion_tokens == 4
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} is fine"} for call in calls]
    history = [*messages, asked.choices[0].message.model_dump(exclude_none=True), *results]
    told = gpt.chat.completions.create(model="m", messages=history, tools=OPENAI_TOOLS)
    assert told.choices[0].message.content == "The tool said: weather is fine room is fine"
    assert told.usage.prompt_tokens == 2 + 4 + 6 + 2 * TOOL_TOKENS


def test_tool_arguments_are_streamed_in_pieces(gpt):
    with gpt.chat.completions.stream(model="m", messages=user("Paris [[tools=2]]"), tools=OPENAI_TOOLS) as stream:
        pieces = [event.arguments_delta for event in stream if event.type == "tool_calls.function.arguments.delta"]
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "Paris"}, {"floor": 3}]
    assert [piece for piece in pieces if piece] == ['{"city":', '"Paris"}', '{"flo', 'or":3}']


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("auto", None),
        ("none", None),
        ("required", "weather"),
        ({"type": "function", "function": {"name": "room"}}, "room"),
    ],
)
def test_a_tool_is_called_where_it_must_be(gpt, choice, called):
    answer = gpt.chat.completions.create(model="m", messages=user("Go"), tools=OPENAI_TOOLS, tool_choice=choice)
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == ([called] if called else [])


def test_the_answer_has_the_form_that_was_asked_for(gpt, claude):
    form = {"type": "json_schema", "json_schema": {"name": "weather", "schema": WEATHER}}
    answer = gpt.chat.completions.create(model="m", messages=user("Paris"), response_format=form)
    assert json.loads(answer.choices[0].message.content) == {"city": "Paris"}
    output = {"format": {"type": "json_schema", "schema": WEATHER}}
    message = claude.messages.create(
        model="m", max_tokens=99, messages=user("Paris"), extra_body={"output_config": output}
    )
    assert json.loads(message.content[0].text) == {"city": "Paris"}


def test_an_image_counts_for_a_fixed_number_of_tokens(gpt, claude):
    text = {"type": "text", "text": "Look here"}
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    answer = gpt.chat.completions.create(model="m", messages=user([text, url]))
    message = claude.messages.create(
        model="m", max_tokens=99, messages=user([{"type": "image", "source": source}, text])
    )
    assert answer.usage.prompt_tokens == message.usage.input_tokens == 2 + IMAGE_TOKENS


def test_the_same_text_has_the_same_vector_in_either_encoding(gpt):
    floats = gpt.embeddings.create(model="m", input=["one two", "three"], encoding_format="float")
    packed = gpt.embeddings.create(model="m", input="one two")
    assert floats.data[0].embedding == pytest.approx(packed.data[0].embedding)
    assert sum(number * number for number in packed.data[0].embedding) == pytest.approx(1)
    assert floats.data[0].embedding != floats.data[1].embedding
    assert (floats.usage.prompt_tokens, packed.usage.prompt_tokens) == (3, 2)
    assert len(gpt.embeddings.create(model="m", input=[[1, 2, 3]], dimensions=8).data[0].embedding) == 8


def test_responses_are_answered_whole_and_streamed(gpt):
    answer = gpt.responses.create(model="m", input="Hello there [[reasoning=5]] [[cached=7]]", instructions="Be brief")
    assert answer.output_text == "You said: Hello there"
    assert (answer.usage.input_tokens, answer.usage.input_tokens_details.cached_tokens) == (6 + 7, 7)
    assert (answer.usage.output_tokens, answer.usage.output_tokens_details.reasoning_tokens) == (9, 5)
    with gpt.responses.stream(model="m", input="Hello there") as stream:
        words = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert words == ["You ", "said: ", "Hello ", "there"]
    assert (final.status, final.usage.total_tokens) == ("completed", 2 + 4)


def test_responses_call_tools_and_read_their_results(gpt):
    tools = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}]
    question = user("Paris [[tools=2]]")
    with gpt.responses.stream(model="m", input=question, tools=tools) as stream:
        calls = stream.until_done().get_final_response().output
    assert [(call.name, call.arguments) for call in calls] == [("weather", '{"city":"Paris"}')] * 2
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
    history = [*question, *[call.model_dump(exclude={"parsed_arguments"}) for call in calls], *results]
    assert gpt.responses.create(model="m", input=history, tools=tools).output_text == "The tool said: sunny sunny"


def test_claude_leaves_cached_tokens_out_of_its_input(claude):
    text = "Hello [[cached=100]] [[cache_write=50]] [[cache_write_1h=30]]"
    message = claude.messages.create(model="claude-haiku-4-5", max_tokens=99, system="Be brief", messages=user(text))
    assert message.content[0].text == "You said: Hello"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (6, 3)
    assert (message.usage.cache_read_input_tokens, message.usage.cache_creation_input_tokens) == (100, 80)
    assert message.usage.cache_creation.ephemeral_1h_input_tokens == 30
    counted = claude.messages.count_tokens(model="claude-haiku-4-5", system="Be brief", messages=user(text))
    assert counted.input_tokens == 6


def test_claude_streams_every_event(claude):
    with claude.messages.create(
        model="m", max_tokens=99, messages=user("Hi [[reasoning=2]] [[cached=9]]"), stream=True
    ) as stream:
        events = list(stream)
    names = [event.type for event in events if event.type != "content_block_delta"]
    assert names == [
        "message_start",
        *["content_block_start", "content_block_stop"] * 2,
        "message_delta",
        "message_stop",
    ]
    assert (events[0].message.usage.input_tokens, events[0].message.usage.cache_read_input_tokens) == (3, 9)
    assert events[-2].usage.output_tokens == 3 + 2
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    assert [delta.type for delta in deltas[:3]] == ["thinking_delta", "thinking_delta", "signature_delta"]
    assert "".join(delta.text for delta in deltas[3:]) == "You said: Hi"


def test_claude_calls_two_tools_and_reads_their_results(claude):
    messages = user("Paris [[tools=2]]")
    with claude.messages.stream(model="m", max_tokens=99, messages=messages, tools=ANTHROPIC_TOOLS) as stream:
        asked = stream.get_final_message()
    assert asked.stop_reason == "tool_use"
    assert [(block.name, block.input) for block in asked.content] == [
        ("weather", {"city": "Paris"}),
        ("room", {"floor": 3}),
    ]
    results = [{"type": "tool_result", "tool_use_id": block.id, "content": "fine"} for block in asked.content]
    history = [*messages, {"role": "assistant", "content": asked.content}, *user(results)]
    told = claude.messages.create(model="m", max_tokens=99, messages=history, tools=ANTHROPIC_TOOLS)
    assert told.content[0].text == "The tool said: fine fine"
    assert told.usage.input_tokens == 2 + 4 + 2 + 2 * TOOL_TOKENS


def test_both_dialects_list_models(echo, gpt, claude):
    assert "gpt-4o-mini" in [model.id for model in gpt.models.list()]
    assert "claude-haiku-4-5" in [model.id for model in claude.models.list()]
    assert gpt.models.retrieve("gpt-4o").id == claude.models.retrieve("gpt-4o").id == "gpt-4o"
    with openai.OpenAI(base_url=echo.url("openrouter"), api_key="sk-or") as router:
        assert router.models.retrieve("openai/gpt-4o-mini").id == "openai/gpt-4o-mini"
        account: Any = router.get("/key", cast_to=object)
    assert account["data"]["limit_remaining"] == 10.0


@pytest.mark.parametrize(
    "schema",
    [
        WEATHER,
        ROOM,
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "minItems": 2, "items": {"enum": ["x", "y"]}}}},
        {"anyOf": [{"type": "number", "exclusiveMinimum": 3, "multipleOf": 0.25}, {"type": "null"}]},
        {"allOf": [WEATHER, ROOM]},
        {"type": ["string", "null"], "minLength": 30, "maxLength": 40},
        {"type": "integer", "exclusiveMaximum": -4},
        {"const": {"deep": [1, 2]}},
        {"type": "object", "properties": {"on": {"type": "boolean"}, "day": {"type": "string", "format": "date"}}},
    ],
)
def test_what_is_built_from_a_schema_is_valid(schema):
    jsonschema.validate(instance(schema, text="Paris"), schema)
