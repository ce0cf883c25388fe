"""What happens to one request, noted down as it happens, and the record that comes of it."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from agents.trouble import Trouble
from llm import tokens
from llm.errors import GatewayError
from llm.providers.base import Prepared, Relay, Target
from llm.requests import Request
from llm.snapshot import AgentSnapshot
from metering import pricing
from metering.periods import Month
from metering.record import Attempt, Provenance, Record, Status, picodollars, utc_text
from metering.usage import Usage

NOTHING: Final = Usage()


class _Unanswered:
    """Stands where no answer has begun."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.cost: Decimal | None = None
        self.output = tokens.Output()
        self.model = ""
        self.complete = False
        self.failed = False

    def whole(self, status: int, body: bytes) -> bytes:  # noqa: ARG002
        """Pass the body on."""
        return body

    def feed(self, data: bytes) -> bytes:
        """Pass the bytes on."""
        return data

    def finish(self) -> bytes:
        """Nothing is held back."""
        return b""

    def broken_off(self, error: GatewayError) -> bytes:  # noqa: ARG002
        """There is nobody to tell."""
        return b""


UNANSWERED: Final[Relay] = _Unanswered()

# A record as the journal takes it.
line: Final = msgspec.json.Encoder().encode


class Exchange:
    """One request, what was tried for it, and its answer so far.

    ``status`` begins as ``client_closed``: who is cancelled before anything else is known was left by the caller.
    ``trouble`` is what the last refusal said about the key that it was asked with.
    """

    __slots__ = (
        "_arrived",
        "_asked",
        "_attempt_began",
        "_attempts",
        "_first_byte_at",
        "_request_type",
        "_started",
        "agent",
        "dropped",
        "http_status",
        "id",
        "model",
        "on_first_byte",
        "provider",
        "rate_headers",
        "relay",
        "request",
        "session",
        "status",
        "target",
        "trouble",
        "usage",
    )

    def __init__(
        self, *, request_id: str, request_type: str, agent: AgentSnapshot, request: Request, session: str = ""
    ) -> None:
        self.id = request_id
        self.agent = agent
        self.request = request
        self.session = session
        self.status: Status = "client_closed"
        self.http_status = 0
        self.provider = ""
        self.target: Target | None = None
        self.model = request.model
        self.relay: Relay = UNANSWERED
        self.dropped: Sequence[str] = ()
        # What a Managed agent's caller is told in place of the provider's word on our own account.
        self.rate_headers: Sequence[tuple[bytes, bytes]] = ()
        self.trouble: Trouble | None = None
        self.usage = NOTHING
        self.on_first_byte: Callable[[], None] | None = None
        self._request_type = request_type
        self._asked = 0
        self._attempts: tuple[Attempt, ...] = ()  # those that have ended
        self._arrived = datetime.now(UTC)
        self._started = self._attempt_began = time.perf_counter()
        self._first_byte_at = 0.0

    @property
    def month(self) -> str:
        """The month that it counts for."""
        return str(Month.of(self._arrived))

    @property
    def attempts(self) -> int:
        """How many calls were made for it."""
        return self._asked

    @property
    def tokens(self) -> int:
        """What it used, once its :meth:`record` is made."""
        return self.usage.tokens_input + self.usage.tokens_output

    def attempt(self, target: Target, model: str, prepared: Prepared) -> None:
        """Note that a call goes out. Until it is known how it ends, it has no status, whatever an earlier one had."""
        self.status, self.http_status, self.trouble = "client_closed", 0, None
        self.target, self.provider, self.model = target, target.provider, model
        self.relay, self.dropped = prepared.relay, prepared.dropped
        self._attempt_began = time.perf_counter()
        self._asked += 1

    def attempt_ended(self, *, status: int | None) -> float:
        """Note how the last call ended; return how long it took, in seconds."""
        took = time.perf_counter() - self._attempt_began
        ended = Attempt(provider=self.provider, model=self.model, status=status, latency_ms=round(took * 1000))
        self._attempts += (ended,)
        return took

    def first_byte(self) -> None:
        """Note that the answer begins to reach the caller now."""
        self._first_byte_at = time.perf_counter()
        if self.on_first_byte:
            self.on_first_byte()

    def record(self) -> Record:
        """Return the record of what happened."""
        now = time.perf_counter()
        usage, provenance = self._usage()
        self.usage = usage
        plan = self.agent.plan
        provider, model = self.provider, self.model
        arrived, relay = self._arrived, self.relay
        rate = pricing.rate(provider, model, at=arrived) or pricing.rate(provider, relay.model, at=arrived)
        cost_input, cost_output, cost_total = _costs(usage, rate, relay)
        if cost_total is None and provenance == "reported":
            provenance = "unpriced"
        return Record(
            id=self.id,
            agent_id=self.agent.agent_id,
            workspace_id=self.agent.workspace_id,
            timestamp=utc_text(arrived),
            provider=provider,
            model=model,
            tier=plan.tier if plan else "byokey",
            tokens_input=usage.tokens_input,
            tokens_output=usage.tokens_output,
            cost_input=cost_input,
            cost_output=cost_output,
            cost_total=cost_total,
            price_total=picodollars(pricing.list_price(usage, plan.list_per_million)) if plan else 0,
            request_type=self._request_type,
            latency_ms=round((now - self._started) * 1000),
            status=self.status,
            http_status=self.http_status,
            mode=self.agent.mode,
            streamed=self.request.stream,
            ttft_ms=round((self._first_byte_at - self._started) * 1000) if self._first_byte_at else None,
            attempts=self._attempts,
            cache_read=usage.cache_read,
            cache_write=usage.cache_write,
            reasoning=usage.reasoning,
            price_version=rate.version if rate else "",
            experiment_arm=self.agent.arm,
            provenance=provenance,
            session=self.session or None,
        )

    def _usage(self) -> tuple[Usage, Provenance]:
        """Return what was used, and how we know."""
        reported = self.relay.usage
        if not self._asked:
            return NOTHING, "reported"
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
    cost_input, cost_output = rate.picodollars(usage)
    return cost_input, cost_output, cost_input + cost_output
