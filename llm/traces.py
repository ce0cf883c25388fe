"""OpenTelemetry: a span for every request, made when it has ended, with the names of the GenAI conventions.

Only where ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set: this module, and with it the SDK, isn't even imported otherwise.
The SDK reads its own variables (``OTEL_SERVICE_NAME``, ``OTEL_TRACES_SAMPLER``, ``OTEL_EXPORTER_OTLP_HEADERS`` …)
and exports in a thread of its own. Never a prompt, an answer or a key: what a span has is what the record has.
"""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from llm.exchange import Exchange
from llm.requests import Call, EmbeddingsRequest
from metering.record import Record

OK: Final = "ok"
# Where the conventions have a name of their own for a provider.
NAMES: Final = {"mistral": "mistral_ai"}
CARRIED: Final = ("traceparent", "tracestate")
NANO: Final = 1_000_000  # nanoseconds in a millisecond


class Traces:
    """Makes the spans and has them exported."""

    def __init__(self) -> None:
        resource = Resource({SERVICE_NAME: "vutler"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("vutler.llm")
        self._propagator = TraceContextTextMapPropagator()

    def observe(self, call: Call, exchange: Exchange, record: Record) -> None:
        """Make the span of a request that has ended, as a child of the caller's, where it names one."""
        carried = {name: call.headers.get(name.encode(), b"").decode("latin-1") for name in CARRIED}
        began = datetime.fromisoformat(record.timestamp).replace(tzinfo=UTC).timestamp()
        start = int(began * 1_000_000) * 1_000
        operation = "embeddings" if isinstance(exchange.request, EmbeddingsRequest) else "chat"
        span = self._tracer.start_span(
            f"{operation} {record.model}",
            context=self._propagator.extract(carried),
            kind=SpanKind.CLIENT,
            start_time=start,
            attributes={"gen_ai.operation.name": operation, **_attributes(exchange, record)},
        )
        if record.status != OK:
            span.set_status(Status(StatusCode.ERROR))
        span.end(start + record.latency_ms * NANO)

    def close(self) -> None:
        """Export what is left, and stop."""
        self._provider.shutdown()


def _attributes(exchange: Exchange, record: Record) -> dict[str, AttributeValue]:
    place = urlsplit(exchange.target.base_url if exchange.target else "")
    found: dict[str, AttributeValue] = {
        "gen_ai.provider.name": NAMES.get(record.provider, record.provider),
        "gen_ai.request.model": record.model,
        "gen_ai.usage.input_tokens": record.tokens_input,
        "gen_ai.usage.output_tokens": record.tokens_output,
        "http.response.status_code": record.http_status,
        "vutler.request.id": record.id,
        "vutler.agent.id": record.agent_id,
        "vutler.mode": record.mode,
        "vutler.attempts": len(record.attempts),
    }
    if exchange.relay.model:
        found["gen_ai.response.model"] = exchange.relay.model
    if place.hostname:
        found["server.address"] = place.hostname
        found["server.port"] = place.port or (443 if place.scheme == "https" else 80)
    if record.status != OK:
        failed = record.status == "provider_error" and record.http_status
        found["error.type"] = str(record.http_status) if failed else record.status
    return found
