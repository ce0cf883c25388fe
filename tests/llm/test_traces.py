"""A collector gets one span a request, with what the record has and nothing of what was said."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from llm.gateway import Observer
from llm.traces import Traces
from tests.llm.gateway import AGENT, TOKEN, agent

HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three four"}]}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(ThreadingHTTPServer):
    """Keeps what is exported to it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, dict[str, str], bytes]] = []

    def spans(self) -> list[Span]:
        return [
            span
            for _path, _headers, body in self.received
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, dict(self.headers.items()), body))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def traces(collector, monkeypatch) -> Traces:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gateway-of-alex")
    return Traces()


@pytest.fixture
def observers(traces) -> list[Observer]:
    return [traces]


async def exported(traces: Traces, collector: Collector) -> Span:
    """The one span that there must be."""
    await asyncio.to_thread(traces.close)
    [span] = collector.spans()
    return span


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "") for each in span.attributes}


async def test_a_request_is_a_span_with_the_names_of_the_conventions(house, traces, collector, echo):
    answered = await house.call(HELLO)
    span = await exported(traces, collector)

    assert (span.name, span.kind) == ("chat gpt-4o-mini", Span.SPAN_KIND_CLIENT)
    assert attributes(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": 4,
        "gen_ai.usage.output_tokens": 6,
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": echo.port,
        "vutler.request.id": answered.headers["x-request-id"],
        "vutler.agent.id": AGENT,
        "vutler.mode": "byokey",
        "vutler.attempts": 1,
    }
    record = await house.record()
    assert (span.end_time_unix_nano - span.start_time_unix_nano) == record["latency_ms"] * 1_000_000
    assert span.status.code == Status.STATUS_CODE_UNSET


async def test_the_callers_trace_goes_on(house, traces, collector):
    await house.call(HELLO, headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "of=alex"})
    span = await exported(traces, collector)
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, PARENT, "of=alex")


@pytest.mark.parametrize("traceparent", ["", "nonsense", f"00-{TRACE}-{PARENT}", "00-" + "0" * 32 + f"-{PARENT}-01"])
async def test_what_is_no_trace_begins_a_new_one(house, traces, collector, traceparent):
    assert (await house.call(HELLO, headers={"traceparent": traceparent})).status == 200
    span = await exported(traces, collector)
    assert span.parent_span_id == b""
    assert len(span.trace_id) == 16


async def test_a_caller_who_doesnt_record_its_trace_isnt_recorded(house, traces, collector):
    await house.call(HELLO, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    await asyncio.to_thread(traces.close)
    assert collector.spans() == []


@pytest.mark.parametrize(
    ("text", "error"), [("[[status=429]] hi", "429"), ("[[cut=0]] hi", "unreachable"), ("[[status=500]] hi", "500")]
)
async def test_an_error_is_named(house, traces, collector, text, error):
    await house.call({**HELLO, "messages": [{"role": "user", "content": text}]})
    span = await exported(traces, collector)
    assert attributes(span)["error.type"] == error
    assert span.status.code == Status.STATUS_CODE_ERROR


async def test_embeddings_of_mistral_are_called_what_the_conventions_call_them(house, traces, collector, echo):
    house.agents[TOKEN] = agent("mistral", echo.url("mistral"), model="mistral-embed")
    await house.call({"model": "mistral-embed", "input": "one two"}, path="/v1/embeddings")
    span = await exported(traces, collector)
    found = attributes(span)
    assert span.name == "embeddings mistral-embed"
    assert (found["gen_ai.operation.name"], found["gen_ai.provider.name"]) == ("embeddings", "mistral_ai")


async def test_nothing_that_was_said_and_no_key_leaves(house, traces, collector):
    await house.call({**HELLO, "user": "elena", "messages": [{"role": "user", "content": "my secret plan"}]})
    await exported(traces, collector)
    [(path, headers, body)] = collector.received
    assert path == "/v1/traces"
    assert b"gateway-of-alex" in body
    for secret in (b"secret plan", b"You said", b"sk-alex", TOKEN.encode(), b"elena"):
        assert secret not in body + str(headers).encode()


async def test_a_collector_that_is_away_keeps_nobody_waiting(house, traces, collector):
    collector.shutdown()
    collector.server_close()
    assert (await house.call(HELLO)).status == 200
    await asyncio.to_thread(traces.close)
