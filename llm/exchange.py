"""What happens to one request, noted down as it happens, and the record that comes of it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from llm import tokens
from llm.providers.base import Relay, Target
from llm.requests import Request
from llm.snapshot import AgentSnapshot
from metering import pricing
from metering.record import Attempt, Provenance, Record, Status, picodollars, utc_text
from metering.usage import Usage

NOTHING: Final = Usage()

_encode = msgspec.json.Encoder().encode


class Exchange:
    """One request and its answer so far.

    ``status`` begins as ``client_closed``: who is cancelled before anything else is known was left by the caller.
    """

    __slots__ = (
        "_agent",
        "_arrived",
        "_first_byte_at",
        "_request_type",
        "_started",
        "dropped",
        "http_status",
        "id",
        "model",
        "provider_status",
        "relay",
        "request",
        "status",
        "target",
    )

    def __init__(
        self,
        *,
        request_id: str,
        request_type: str,
        agent: AgentSnapshot,
        target: Target,
        request: Request,
        relay: Relay,
        dropped: Sequence[str] = (),
    ) -> None:
        self.id = request_id
        self.target = target
        self.request = request
        self.relay = relay
        self.dropped = dropped
        self.model = request.model
        self.status: Status = "client_closed"
        self.http_status = 0
        self.provider_status: int | None = None
        self._agent = agent
        self._request_type = request_type
        self._arrived = datetime.now(UTC)
        self._started = time.perf_counter()
        self._first_byte_at = 0.0

    def first_byte(self) -> None:
        """Note that the answer begins to reach the caller now."""
        self._first_byte_at = time.perf_counter()

    def line(self) -> bytes:
        """Return the record of what happened, as the journal takes it."""
        usage, provenance = self._usage()
        provider = self.target.provider
        rate = pricing.rate(provider, self.model, at=self._arrived) or pricing.rate(
            provider, self.relay.model, at=self._arrived
        )
        cost_input, cost_output, cost_total = _costs(usage, rate, self.relay)
        if cost_total is None and provenance == "reported":
            provenance = "unpriced"
        latency_ms = _ms(time.perf_counter() - self._started)
        return _encode(
            Record(
                id=self.id,
                agent_id=self._agent.agent_id,
                workspace_id=self._agent.workspace_id,
                timestamp=utc_text(self._arrived),
                provider=provider,
                model=self.model,
                tier="byokey",
                tokens_input=usage.tokens_input,
                tokens_output=usage.tokens_output,
                cost_input=cost_input,
                cost_output=cost_output,
                cost_total=cost_total,
                price_total=0,
                request_type=self._request_type,
                latency_ms=latency_ms,
                status=self.status,
                http_status=self.http_status,
                mode=self._agent.mode,
                streamed=self.request.stream,
                ttft_ms=_ms(self._first_byte_at - self._started) if self._first_byte_at else None,
                attempts=(
                    Attempt(provider=provider, model=self.model, status=self.provider_status, latency_ms=latency_ms),
                ),
                cache_read=usage.cache_read,
                cache_write=usage.cache_write,
                reasoning=usage.reasoning,
                price_version=rate.version if rate else "",
                experiment_arm="",
                provenance=provenance,
            )
        )

    def _usage(self) -> tuple[Usage, Provenance]:
        """Return what was used, and how we know."""
        reported = self.relay.usage
        match self.status:
            case "ok":
                return (reported, "reported") if reported else (self._estimate(), "estimated")
            case "provider_error" | "unreachable":
                return reported or NOTHING, "reported"
            case _:
                # Cut, timed out or left: the provider worked, and bills, for what it had done until then.
                return self._at_least_the_text(reported or self._estimate()), "partial"

    def _estimate(self) -> Usage:
        return Usage(input=tokens.prompt(self.request.body), output=self.relay.output.tokens)

    def _at_least_the_text(self, usage: Usage) -> Usage:
        """Raise the output to what was seen: Anthropic's first event counts one token, and a cut keeps it so."""
        seen = self.relay.output.tokens
        if seen <= usage.tokens_output:
            return usage
        return usage + Usage(output=seen - usage.tokens_output)


def _costs(usage: Usage, rate: pricing.Rate | None, relay: Relay) -> tuple[int | None, int | None, int | None]:
    """Return input, output and total cost in picodollars; None where nobody knows.

    What a provider says it charged wins over our rates, which then can't tell its two parts.
    """
    if relay.cost is not None:
        return None, None, picodollars(relay.cost)
    if usage == NOTHING:
        return 0, 0, 0
    if rate is None:
        return None, None, None
    cost_input, cost_output = picodollars(rate.cost_input(usage)), picodollars(rate.cost_output(usage))
    return cost_input, cost_output, cost_input + cost_output


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
