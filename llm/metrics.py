"""What the gateway counts: plain numbers in the event loop, and a file of them, renewed every second.

A scrape reaches one process of a server, whichever it happens to be. So each writes its numbers to a file of its
own in ``METRICS_DIR``, and whoever is asked adds the files up (``llm.exposition``). The counters of a process that
died stay in the sum; a server that starts begins with an empty directory.
"""

import os
import threading
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec
import structlog

from agents.catalogue import providers
from llm.exchange import Exchange
from llm.requests import Call
from metering.record import Attempt, Record

WRITE_EVERY: Final = 1.0  # seconds
# Seconds. Answers take from a tenth of a second (cached, short) to ten minutes (a model that thinks).
BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
OTHER: Final = "other"
NONE: Final = "none"  # no provider was asked
OK: Final = "ok"
ERROR: Final = 400
# Anything else that a server may make up is counted as 4xx or 5xx, so that nobody can invent labels.
TOLD_APART: Final = frozenset({400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529})
NO_ANSWER: Final = "no_answer"
WITHOUT_STATUS: Final = {
    "timeout": "timeout",
    "provider_cut": "cut",
    "unreachable": "unreachable",
    NO_ANSWER: NO_ANSWER,
}

log = structlog.get_logger(__name__)

_encode: Final = msgspec.json.Encoder().encode


class Histogram(msgspec.Struct):
    """How many took how long: ``counts`` a bucket (the last is what is beyond them all), ``total`` in seconds."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, milliseconds: int) -> None:
        """Count one."""
        seconds = milliseconds / 1000
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Series(msgspec.Struct):
    """The numbers of one provider and mode: requests by outcome, failed attempts by kind, tokens, times."""

    requests: dict[str, int] = {}
    errors: dict[str, int] = {}
    tokens_input: int = 0
    tokens_output: int = 0
    latency: Histogram = msgspec.field(default_factory=Histogram)
    first_byte: Histogram = msgspec.field(default_factory=Histogram)


class State(msgspec.Struct):
    """How a process is doing at this moment: what isn't counted up but looked at."""

    journal_waiting: int = 0
    store_failures: int = 0
    redis_away: bool = False


class Numbers(msgspec.Struct):
    """All that one process counted. ``series`` by provider and then mode, ``refused`` by the error's code."""

    pid: int
    series: dict[str, dict[str, Series]] = {}
    refused: dict[str, int] = {}
    in_flight: int = 0
    state: State = msgspec.field(default_factory=State)


class Metrics:
    """One process's numbers. Everything but ``start`` and ``close`` is for its event loop, and takes no lock."""

    def __init__(self, directory: Path, *, look: Callable[[], State] = State) -> None:
        """Write to a file in ``directory`` what is counted, and what ``look`` finds then (in a thread)."""
        self.numbers = Numbers(pid=os.getpid())
        self._known = frozenset(providers())
        self._at_hand: dict[tuple[str, str], Series] = {}  # of known providers: as in the numbers, but found faster
        self._look = look
        self._file = directory / f"{os.getpid()}-{uuid4().hex[:8]}.json"
        self._written = b""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write a last time, and stop."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def observe(self, _call: Call, _exchange: Exchange, record: Record) -> None:
        """Count a request that has ended."""
        label = record.provider, record.mode
        series = self._at_hand.get(label) or self._series(*label)
        status = record.status
        series.requests[status] = series.requests.get(status, 0) + 1
        series.tokens_input += record.tokens_input
        series.tokens_output += record.tokens_output
        series.latency.add(record.latency_ms)
        if record.ttft_ms is not None:
            series.first_byte.add(record.ttft_ms)
        if status != OK or len(record.attempts) > 1:
            self._count_errors(record)

    def refused(self, code: str) -> None:
        """Count an answer that was an error of ours."""
        self.numbers.refused[code] = self.numbers.refused.get(code, 0) + 1

    def _series(self, provider: str, mode: str) -> Series:
        label = provider if provider in self._known else OTHER if provider else NONE
        modes = self.numbers.series.get(label)
        if modes is None:
            modes = self.numbers.series[label] = {}
        series = modes.get(mode)
        if series is None:
            series = modes[mode] = Series()
        if label == provider:
            self._at_hand[provider, mode] = series
        return series

    def _count_errors(self, record: Record) -> None:
        for position, attempt in enumerate(record.attempts, start=1):
            # Before the last, an attempt without a status is one that nobody answered in time, or at all.
            ending = record.status if position == len(record.attempts) else NO_ANSWER
            kind = _kind(attempt, ending=ending)
            if kind:
                errors = self._series(attempt.provider, record.mode).errors
                errors[kind] = errors.get(kind, 0) + 1

    def _write_forever(self) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._write()
            while not self._closing.wait(WRITE_EVERY):
                self._renew()
            self._renew()
        except OSError as error:
            # A disk without room is the journal's to shout about; here only the figures stop.
            log.warning("metrics_not_written", error=type(error).__name__)

    def _renew(self) -> None:
        # Where it's gone, a server that started later emptied the directory and counts for itself (vutler.startup).
        if self._file.exists():
            self._write()

    def _write(self) -> None:
        self.numbers.state = self._look()
        # In one call, which the event loop can't come between: the numbers are of one moment.
        written = _encode(self.numbers)
        if written == self._written:
            return
        draft = self._file.with_suffix(".new")
        draft.write_bytes(written)
        draft.replace(self._file)
        self._written = written


def _kind(attempt: Attempt, *, ending: str) -> str:
    """Return what kind of error an attempt came to, ``ending`` being how its request ended; nothing where to none."""
    status = attempt.status
    if status is None or status < ERROR:
        return WITHOUT_STATUS.get(ending, "")
    if status in TOLD_APART:
        return str(status)
    return f"{status // 100}xx"
