"""What Prometheus and the log are told of the gateway: figures, never who or what."""

import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from llm.access_log import AccessLog
from llm.exposition import exposition
from llm.gateway import Observer
from llm.metrics import Metrics, Numbers, State
from metering.record import Attempt, Record
from tests.llm.gateway import AGENT, TOKEN, WORKSPACE, agent, on_plan

HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three four"}]}
RECORD = Record(
    id="0199aaaa-0000-7000-8000-000000000001",
    agent_id=AGENT,
    workspace_id=WORKSPACE,
    timestamp="2026-02-16 18:00:00.000001",
    provider="openai",
    model="gpt-4o-mini",
    tier="byokey",
    tokens_input=4,
    tokens_output=6,
    cost_input=0,
    cost_output=0,
    cost_total=0,
    price_total=0,
    request_type="chat",
    latency_ms=1_200,
    status="ok",
    http_status=200,
    mode="byokey",
    streamed=True,
    ttft_ms=300,
    attempts=(Attempt(provider="openai", model="gpt-4o-mini", status=200, latency_ms=1_199),),
    cache_read=0,
    cache_write=0,
    reasoning=0,
    price_version="",
    experiment_arm="",
    provenance="reported",
)


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "metrics"


@pytest.fixture
def metrics(directory) -> Metrics:
    return Metrics(directory)


@pytest.fixture
def observers(metrics) -> list[Observer]:
    return [metrics]


def ended(**changes) -> Record:
    return msgspec.structs.replace(RECORD, **changes)


def observe(observer: Any, *records: Record) -> None:
    for record in records:
        observer.observe(None, None, record)


def scraped(directory, journal=None) -> dict[str, float]:
    """What a scrape tells, by name and labels in alphabetical order: ``vutler_refused_total{code=rate_limited}``."""
    text = exposition(numbers=directory, journal=journal or directory / "no journal").decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def written(metrics: Metrics) -> None:
    metrics.start()
    metrics.close()


async def test_a_request_is_counted_by_provider_mode_and_ending(house, metrics, directory):
    await house.call(HELLO)
    await house.call({**HELLO, "stream": True})
    written(metrics)
    found = scraped(directory)
    assert found["vutler_requests_total{mode=byokey,provider=openai,status=ok}"] == 2
    assert found["vutler_tokens_input_total{mode=byokey,provider=openai}"] == 8
    assert found["vutler_tokens_output_total{mode=byokey,provider=openai}"] == 12
    assert found["vutler_request_seconds_count{mode=byokey,provider=openai}"] == 2
    assert found["vutler_first_byte_seconds_count{mode=byokey,provider=openai}"] == 2


async def test_failures_are_counted_by_kind(house, metrics, directory, echo):
    await house.call({**HELLO, "messages": [{"role": "user", "content": "[[status=429]] hi"}]})
    await house.call({**HELLO, "stream": True, "messages": [{"role": "user", "content": "[[cut=2]] a b c d"}]})
    house.agents["away"] = agent("groq", "http://127.0.0.1:1/v1")
    await house.call(HELLO, token="away")
    written(metrics)
    found = scraped(directory)
    assert found["vutler_upstream_errors_total{kind=429,mode=byokey,provider=openai}"] == 1
    assert found["vutler_upstream_errors_total{kind=cut,mode=byokey,provider=openai}"] == 1
    assert found["vutler_upstream_errors_total{kind=unreachable,mode=byokey,provider=groq}"] == 1


async def test_a_call_that_failed_over_counts_where_it_failed(house, metrics, directory, echo, settings):
    settings.PROVIDER_BASE_URL = lambda provider, _default: echo.url(provider)
    house.agents[TOKEN] = on_plan()
    house.arranged.tier("economy", ("minimax", "MiniMax-M2.5"), ("mistral", "mistral-small-latest"))
    echo.script("status=503", provider="minimax")
    assert (await house.call(HELLO)).status == 200
    written(metrics)
    found = scraped(directory)
    assert found["vutler_upstream_errors_total{kind=503,mode=managed,provider=minimax}"] == 1
    assert found["vutler_requests_total{mode=managed,provider=mistral,status=ok}"] == 1


def test_no_label_names_an_agent_a_workspace_or_a_model(metrics, directory):
    observe(metrics, ended(), ended(provider="made-up", attempts=()), ended(provider="", attempts=()))
    metrics.refused("rate_limited")
    written(metrics)
    text = exposition(numbers=directory, journal=directory).decode()
    assert set(re.findall(r'(\w+)="', text)) == {"provider", "mode", "status", "code", "le"}
    assert set(re.findall(r'provider="([^"]*)"', text)) == {"openai", "other", "none"}
    assert AGENT not in text
    assert WORKSPACE not in text
    assert "gpt-4o-mini" not in text


@pytest.mark.parametrize(("status", "kind"), [(429, "429"), (418, "4xx"), (599, "5xx"), (None, "timeout")])
def test_no_server_can_make_labels_up(metrics, directory, status, kind):
    attempt = Attempt(provider="custom", model="x", status=status, latency_ms=1)
    observe(metrics, ended(provider="custom", status="timeout", attempts=(attempt,)))
    written(metrics)
    assert scraped(directory)[f"vutler_upstream_errors_total{{kind={kind},mode=byokey,provider=custom}}"] == 1


def test_a_caller_who_leaves_is_no_error_of_the_provider(metrics, directory):
    attempt = Attempt(provider="openai", model="x", status=None, latency_ms=1)
    observe(metrics, ended(status="client_closed", attempts=(attempt,)))
    written(metrics)
    assert not [name for name in scraped(directory) if name.startswith("vutler_upstream_errors_total")]


def test_times_fall_into_buckets(metrics, directory):
    observe(metrics, ended(latency_ms=50), ended(latency_ms=51), ended(latency_ms=700_000), ended(ttft_ms=None))
    written(metrics)
    found = scraped(directory)
    assert found["vutler_request_seconds_bucket{le=0.05,mode=byokey,provider=openai}"] == 1
    assert found["vutler_request_seconds_bucket{le=0.1,mode=byokey,provider=openai}"] == 2
    assert found["vutler_request_seconds_bucket{le=600,mode=byokey,provider=openai}"] == 3
    assert found["vutler_request_seconds_bucket{le=+Inf,mode=byokey,provider=openai}"] == 4
    assert found["vutler_request_seconds_sum{mode=byokey,provider=openai}"] == pytest.approx(0.05 + 0.051 + 700 + 1.2)
    assert found["vutler_first_byte_seconds_count{mode=byokey,provider=openai}"] == 3


def test_the_processes_of_a_server_are_added_up_and_the_dead_keep_their_counts(directory):
    for _ in range(2):
        process = Metrics(directory, look=lambda: State(redis_away=True, journal_waiting=3, store_failures=2))
        process.numbers.in_flight = 5
        observe(process, ended(), ended())
        written(process)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (directory / "gone.json").write_bytes(
        msgspec.json.encode(Numbers(pid=gone.pid, in_flight=7, refused={"rate_limited": 9}))
    )
    found = scraped(directory)
    assert found["vutler_requests_total{mode=byokey,provider=openai,status=ok}"] == 4
    assert found["vutler_refused_total{code=rate_limited}"] == 9
    assert found["vutler_store_failures_total"] == 4
    assert (found["vutler_processes"], found["vutler_requests_in_flight"], found["vutler_redis_away"]) == (2, 10, 2)
    assert found["vutler_journal_unwritten_records"] == 6


def test_a_server_that_started_later_isnt_told_what_was_before(directory):
    old = Metrics(directory)
    observe(old, ended())
    old.start()
    while not list(directory.glob("*.json")):
        time.sleep(0.01)
    for path in directory.iterdir():
        path.unlink()
    observe(old, ended())
    old.close()
    assert scraped(directory)["vutler_processes"] == 0


def test_what_waits_in_the_journal_is_told(directory, tmp_path):
    journal = tmp_path / "journal"
    journal.mkdir()
    began = time.time_ns() - 90 * 10**9
    (journal / f"{began:020}-1-aaaaaaaa.ready").touch()
    (journal / f"{began + 10**9:020}-1-bbbbbbbb.open").touch()
    (journal / f"{began:020}-1-cccccccc.bad").touch()
    found = scraped(directory, journal)
    assert (found["vutler_journal_segments"], found["vutler_journal_bad_files"]) == (2, 1)
    assert 90 <= found["vutler_journal_oldest_seconds"] < 150


def test_an_idle_server_is_told_too(directory):
    found = scraped(directory)
    assert (found["vutler_processes"], found["vutler_journal_oldest_seconds"]) == (0, 0)


def test_a_disk_that_is_full_stops_the_figures_and_nothing_else(tmp_path):
    (tmp_path / "taken").write_text("a file where the directory should be")
    process = Metrics(tmp_path / "taken")
    written(process)
    observe(process, ended())
    assert process.numbers.series["openai"]["byokey"].requests == {"ok": 1}


def test_a_request_is_a_line_in_the_log():
    lines: list[bytes] = []
    observe(AccessLog(lines.append), ended())
    line = json.loads(b"".join(lines))
    timestamp = line.pop("timestamp")
    assert timestamp.endswith("Z")
    assert line == {
        "request_id": RECORD.id, "agent_id": AGENT, "provider": "openai", "model": "gpt-4o-mini", "mode": "byokey",
        "status": "ok", "http_status": 200, "streamed": True, "attempts": 1, "latency_ms": 1200, "ttft_ms": 300,
        "tokens_input": 4, "tokens_output": 6, "event": "request", "level": "info", "logger": "llm.requests",
    }  # fmt: skip


def test_a_log_that_nobody_reads_any_more_fails_no_request(monkeypatch):
    def broken(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(os, "write", broken)
    observe(AccessLog(), ended())


async def test_who_looks_on_and_fails_spoils_nothing(house, observers):
    class Clumsy:
        def observe(self, *_: object) -> None:
            raise RuntimeError

        def close(self) -> None:
            return

    observers.insert(0, Clumsy())
    assert (await house.call(HELLO)).status == 200
    assert (await house.record())["status"] == "ok"
