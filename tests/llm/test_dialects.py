"""The same conversation, in every dialect, to every kind of provider, whole and streamed and however it is cut up:
the same text, the same calls, the same count."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.crypto import Secret
from llm.providers.base import Outgoing, Target
from llm.providers.echo import chat, messages, responses
from llm.providers.echo.answer import answer
from llm.providers.echo.directives import PLAIN, behaviour, in_text
from llm.providers.echo.exchange import Stream
from llm.providers.echo.habits import HABITS
from llm.providers.registry import PROVIDERS
from llm.requests import Call, read_chat, read_messages, read_responses
from llm.sse import Events, data_of
from tests.llm.claude_streams import split

KINDS = ["openai", "anthropic", "mistral", "groq", "minimax"]
TOWN = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}


# --- What is talked about -----------------------------------------------------------------------


@dataclass(frozen=True)
class Round:
    """What the user said, and what the assistant answered: words, or calls that were then answered."""

    user: str
    said: str
    calls: list[tuple[str, dict[str, str]]]
    results: list[str]


@dataclass(frozen=True)
class Talk:
    """A conversation up to its last question."""

    system: str
    rounds: list[Round]
    question: str
    image: bool
    tools: list[str] = field(default_factory=list)


WORDS = st.lists(st.text('abcé€😀"\\{}', min_size=1, max_size=5), min_size=1, max_size=4).map(" ".join)
TOOLS = st.sampled_from([[], ["weather"], ["weather", "time"]])


@st.composite
def rounds(draw, tools):
    names = draw(st.lists(st.sampled_from(tools), max_size=3)) if tools else []
    calls = [(name, {"town": draw(WORDS)}) for name in names]
    return Round(draw(WORDS), draw(WORDS), calls, [draw(WORDS) for _ in calls])


@st.composite
def talks(draw):
    tools = draw(TOOLS)
    asked = [draw(WORDS)]
    if tools:
        asked.append(f"[[tools={draw(st.integers(0, 3))}]]")
    asked.append(draw(st.sampled_from(["", "[[reasoning=7]]", "[[cached=50]]"])))
    system = draw(st.just("") | WORDS)
    earlier = draw(st.lists(rounds(tools), max_size=2))
    return Talk(system, earlier, " ".join(filter(None, asked)), draw(st.booleans()), tools)


# --- In each dialect ----------------------------------------------------------------------------


def in_chat(talk):
    told: list[Any] = [{"role": "system", "content": talk.system}] if talk.system else []
    for at, each in enumerate(talk.rounds):
        calls = [
            {"id": f"c{at}_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for n, (name, arguments) in enumerate(each.calls)
        ]
        told.append({"role": "user", "content": each.user})
        told.append({"role": "assistant", "content": each.said, **({"tool_calls": calls} if calls else {})})
        told += [{"role": "tool", "tool_call_id": f"c{at}_{n}", "content": r} for n, r in enumerate(each.results)]
    image = {"type": "image_url", "image_url": {"url": "https://bakery.example/cake.png"}}
    question = {"type": "text", "text": talk.question}
    told.append({"role": "user", "content": [image, question] if talk.image else talk.question})
    tools = [{"type": "function", "function": {"name": name, "parameters": TOWN}} for name in talk.tools]
    return {"messages": told, **({"tools": tools} if tools else {})}


def in_messages(talk):
    told: list[Any] = []
    for at, each in enumerate(talk.rounds):
        calls = [
            {"type": "tool_use", "id": f"c{at}_{n}", "name": name, "input": arguments}
            for n, (name, arguments) in enumerate(each.calls)
        ]
        results = [
            {"type": "tool_result", "tool_use_id": f"c{at}_{n}", "content": r} for n, r in enumerate(each.results)
        ]
        told.append({"role": "user", "content": each.user})
        told.append({"role": "assistant", "content": [{"type": "text", "text": each.said}, *calls]})
        if results:
            told.append({"role": "user", "content": results})
    image = {"type": "image", "source": {"type": "url", "url": "https://bakery.example/cake.png"}}
    question = {"type": "text", "text": talk.question}
    told.append({"role": "user", "content": [image, question] if talk.image else talk.question})
    tools = [{"name": name, "input_schema": TOWN} for name in talk.tools]
    beside = {**({"tools": tools} if tools else {}), **({"system": talk.system} if talk.system else {})}
    return {"messages": told, "max_tokens": 1_000, **beside}


def in_responses(talk):
    told: list[Any] = []
    for at, each in enumerate(talk.rounds):
        told.append({"role": "user", "content": each.user})
        told.append({"role": "assistant", "content": each.said})
        for n, (name, arguments) in enumerate(each.calls):
            told.append(
                {"type": "function_call", "call_id": f"c{at}_{n}", "name": name, "arguments": json.dumps(arguments)}
            )
        told += [
            {"type": "function_call_output", "call_id": f"c{at}_{n}", "output": r} for n, r in enumerate(each.results)
        ]
    image = {"type": "input_image", "image_url": "https://bakery.example/cake.png"}
    question = {"type": "input_text", "text": talk.question}
    told.append({"role": "user", "content": [image, question] if talk.image else talk.question})
    tools = [{"type": "function", "name": name, "parameters": TOWN} for name in talk.tools]
    beside = {**({"tools": tools} if tools else {}), **({"instructions": talk.system} if talk.system else {})}
    return {"input": told, **beside}


# --- The provider -------------------------------------------------------------------------------


def played(provider: str, outgoing: Outgoing, *, stream: bool) -> bytes:
    """What echo, playing ``provider``, answers."""
    habits = HABITS[provider]
    route = outgoing.url.rpartition("/")[2]
    readers: dict[str, Any] = {
        "messages": messages.read,
        "responses": responses.read,
        "completions": lambda body: chat.read(body, habits=habits),
    }
    prompt = readers[route](outgoing.body)
    prompt.said, asked = in_text(prompt.said)
    how = behaviour(base=PLAIN, asked=asked)
    found = answer(prompt, how)
    names: dict[str, Any] = {"request_id": "1"}
    if stream:
        speak: Any = {"messages": messages.stream, "responses": responses.stream, "completions": chat.stream}[route]
        names |= {"error": {"error": {"message": ""}, "type": "error"}}
        if route == "completions":
            names |= {"prompt": prompt, "habits": habits}
        told: Stream = speak(found, how, **names)
        return b"".join(piece.data for piece in told.pieces) + told.end
    say: Any = {"messages": messages.whole, "responses": responses.whole, "completions": chat.whole}[route]
    if route == "completions":
        names |= {"habits": habits}
    return json.dumps(say(found, how, **names)).encode()


# --- What came of it ----------------------------------------------------------------------------


class Heard(NamedTuple):
    """What a caller heard: the text, the calls, and the tokens that were told (input, output)."""

    text: str
    calls: list[tuple[str, Any]]
    told: tuple[int, int]


def heard_chat(body, events):
    if events is None:
        message, usage = json.loads(body)["choices"][0]["message"], json.loads(body)["usage"]
        calls = [call["function"] for call in message.get("tool_calls") or ()]
        text = message["content"] or ""
    else:
        deltas = [choice["delta"] for event in events for choice in event["choices"]]
        text = "".join(delta.get("content") or "" for delta in deltas)
        calls = []
        for delta in deltas:
            for piece in delta.get("tool_calls") or ():
                if piece.get("id"):
                    calls.append({"name": piece["function"]["name"], "arguments": ""})
                calls[piece["index"]]["arguments"] += piece["function"].get("arguments") or ""
        usage = next(usage for event in events if (usage := event.get("usage") or event.get("x_groq", {}).get("usage")))
    found = [(call["name"], json.loads(call["arguments"])) for call in calls]
    return Heard(text, found, (usage["prompt_tokens"], usage["completion_tokens"]))


def heard_messages(body, events):
    if events is None:
        found = json.loads(body)
        content, usage = found["content"], found["usage"]
    else:
        content, usage = [], {}
        for event in events:
            match event["type"]:
                case "content_block_start":
                    assert event["index"] == len(content)
                    content.append({**event["content_block"], "json": ""})
                case "content_block_delta":
                    assert event["index"] == len(content) - 1
                    content[-1]["text"] = content[-1].get("text", "") + event["delta"].get("text", "")
                    content[-1]["json"] += event["delta"].get("partial_json", "")
                case "message_delta":
                    usage = event["usage"]
        for block in content:
            block["input"] = json.loads(block["json"] or "{}")
    text = "".join(block["text"] for block in content if block["type"] == "text")
    calls = [(block["name"], block["input"]) for block in content if block["type"] == "tool_use"]
    cached = usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]
    return Heard(text, calls, (usage["input_tokens"] + cached, usage["output_tokens"]))


def heard_responses(body, events):
    found = json.loads(body) if events is None else events[-1]["response"]
    parts = [part for item in found["output"] if item["type"] == "message" for part in item["content"]]
    calls = [item for item in found["output"] if item["type"] == "function_call"]
    return Heard(
        "".join(part["text"] for part in parts),
        [(call["name"], json.loads(call["arguments"])) for call in calls],
        (found["usage"]["input_tokens"], found["usage"]["output_tokens"]),
    )


DIALECTS: dict[str, Any] = {
    "chat": (in_chat, read_chat, heard_chat),
    "messages": (in_messages, read_messages, heard_messages),
    "responses": (in_responses, read_responses, heard_responses),
}


def asked(dialect, provider, talk, *, stream, cut):
    """Ask, and return what the caller heard and what the meter is told."""
    say, read, hear = DIALECTS[dialect]
    body = say(talk) | ({"stream": True} if stream else {})
    if stream and dialect == "chat":
        body["stream_options"] = {"include_usage": True}
    base_url = "http://127.0.0.1:1" if provider == "anthropic" else "http://127.0.0.1:1/v1"
    model = "claude-haiku-4-5" if provider == "anthropic" else "some-model"
    target = Target(provider=provider, model=model, base_url=base_url, key=Secret("sk-alex"))
    call = Call(id="r", token="", body=json.dumps(body).encode(), headers={})
    outgoing, relay, _ = PROVIDERS[provider].prepare(read(call, model), target)
    raw = played(provider, outgoing, stream=stream)
    if stream:
        out = b"".join(relay.feed(piece) for piece in cut(raw)) + relay.finish()
        events = [data_of(event) for event in Events().feed(out)]
        heard = hear(b"", [json.loads(event) for event in events if event != b"[DONE]"])
    else:
        heard = hear(relay.whole(200, raw), None)
    assert relay.complete
    assert not relay.failed
    return heard, relay.usage


@pytest.mark.parametrize("provider", KINDS)
@given(talk=talks(), data=st.data())
def test_every_way_of_asking_gives_the_same(provider, talk, data):
    expected, usage = asked("chat", "openai", talk, stream=False, cut=None)
    assert expected.told == (usage.tokens_input, usage.tokens_output)
    for dialect in DIALECTS:
        for stream in (False, True):
            heard, counted = asked(dialect, provider, talk, stream=stream, cut=lambda raw: data.draw(split(raw)))
            assert heard == expected, (dialect, stream)
            assert counted == usage, (dialect, stream)
