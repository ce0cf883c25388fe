"""What Prometheus is told: the numbers of all processes of a server, added up, and how the journal is doing."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from llm.metrics import BUCKETS, Histogram, Numbers, Series

BY: Final = ["provider", "mode"]
BOUNDS: Final = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]

_decode: Final = msgspec.json.Decoder(Numbers).decode


class Backlog(NamedTuple):
    """What of the journal isn't in the store yet: segments, the age of the oldest in seconds, and those set aside."""

    segments: int
    age: float
    bad: int


class ServerCollector(Collector):
    """Reads the files anew at every scrape."""

    def __init__(self, *, numbers: Path, journal: Path) -> None:
        self._numbers = numbers
        self._journal = journal

    def collect(self) -> Iterator[Metric]:
        """Give every metric."""
        processes = list(read(self._numbers))
        rows = [
            (provider, mode, series)
            for each in processes
            for provider, modes in each.series.items()
            for mode, series in modes.items()
        ]
        yield from _of_requests(rows)
        yield _counter("vutler_refused", "Answers that were errors of ours, by code.", ["code"], _refused(processes))
        yield from _of_now(processes, backlog(self._journal))


def exposition(*, numbers: Path, journal: Path) -> bytes:
    """Return the metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(ServerCollector(numbers=numbers, journal=journal))
    return generate_latest(registry)


def read(directory: Path) -> Iterator[Numbers]:
    """Give the numbers of every process that wrote any, those that ended included."""
    for path in sorted(directory.glob("*.json")):
        with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
            yield _decode(path.read_bytes())


def backlog(directory: Path) -> Backlog:
    """Look at the journal's files; their names begin with when they were begun, in nanoseconds."""
    names = [path.name for path in directory.glob("*")] if directory.exists() else []
    waiting = sorted(name for name in names if name.endswith((".ready", ".open")))
    began = int(waiting[0].partition("-")[0]) / 1e9 if waiting else 0.0
    return Backlog(
        segments=len(waiting),
        age=max(time.time() - began, 0.0) if waiting else 0.0,
        bad=sum(name.endswith(".bad") for name in names),
    )


def _of_requests(rows: list[tuple[str, str, Series]]) -> Iterator[Metric]:
    yield _counter(
        "vutler_requests",
        "Requests that have ended, by how.",
        [*BY, "status"],
        (((*_by(row), status), count) for row in rows for status, count in row[2].requests.items()),
    )
    yield _counter(
        "vutler_upstream_errors",
        "Calls to providers that failed, by kind: a status, or how no answer came.",
        [*BY, "kind"],
        (((*_by(row), kind), count) for row in rows for kind, count in row[2].errors.items()),
    )
    yield _counter(
        "vutler_tokens_input",
        "Input tokens, cached ones included.",
        BY,
        ((_by(row), row[2].tokens_input) for row in rows),
    )
    yield _counter(
        "vutler_tokens_output",
        "Output tokens, reasoning included.",
        BY,
        ((_by(row), row[2].tokens_output) for row in rows),
    )
    yield _histogram(
        "vutler_request_seconds",
        "From a request's arrival to its answer's end.",
        ((_by(row), row[2].latency) for row in rows),
    )
    yield _histogram(
        "vutler_first_byte_seconds",
        "From a request's arrival to its answer's first byte.",
        ((_by(row), row[2].first_byte) for row in rows),
    )


def _of_now(processes: list[Numbers], waiting: Backlog) -> Iterator[Metric]:
    living = [each for each in processes if _lives(each.pid)]
    gauges = [
        ("vutler_processes", "Processes of this server.", len(living)),
        ("vutler_requests_in_flight", "Requests being answered.", sum(each.in_flight for each in living)),
        (
            "vutler_journal_unwritten_records",
            "Records that aren't on disk yet.",
            sum(each.state.journal_waiting for each in living),
        ),
        ("vutler_journal_segments", "Journal files whose records may not be in the store yet.", waiting.segments),
        ("vutler_journal_oldest_seconds", "The age of the oldest of these files.", waiting.age),
        ("vutler_journal_bad_files", "Journal files with records that the store can't hold.", waiting.bad),
        (
            "vutler_redis_away",
            "Processes that can't reach Redis, and keep limits by themselves.",
            sum(each.state.redis_away for each in living),
        ),
    ]
    for name, description, value in gauges:
        yield GaugeMetricFamily(name, description, value=value)
    yield _counter(
        "vutler_store_failures",
        "Attempts to ship the journal into the store that failed.",
        [],
        (((), each.state.store_failures) for each in processes),
    )


def _refused(processes: list[Numbers]) -> Iterator[tuple[tuple[str, ...], int]]:
    return (((code,), count) for each in processes for code, count in each.refused.items())


def _by(row: tuple[str, str, Series]) -> tuple[str, ...]:
    return row[:2]


def _counter(
    name: str, description: str, labels: list[str], values: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    sums: dict[tuple[str, ...], int] = {}
    for key, value in values:
        sums[key] = sums.get(key, 0) + value
    family = CounterMetricFamily(name, description, labels=labels)
    for key, value in sums.items():
        family.add_metric(key, value)
    return family


def _histogram(
    name: str, description: str, values: Iterable[tuple[tuple[str, ...], Histogram]]
) -> HistogramMetricFamily:
    sums: dict[tuple[str, ...], Histogram] = {}
    for key, one in values:
        known = sums.setdefault(key, Histogram())
        known.counts = [a + b for a, b in zip(known.counts, one.counts, strict=True)]
        known.total += one.total
    family = HistogramMetricFamily(name, description, labels=BY)
    for key, one in sums.items():
        buckets = list(zip(BOUNDS, accumulate(one.counts), strict=True))
        family.add_metric(key, buckets, one.total)
    return family


def _lives(pid: int) -> bool:
    """Tell whether a process of this machine is still there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
