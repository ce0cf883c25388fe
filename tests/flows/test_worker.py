"""`make worker`: what was to be done while it was away is done by itself, and two of them do nothing twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from celery import Celery
from celery.beat import PersistentScheduler

from tests.backends import Redis
from tests.process import PATIENCE, ROOT, fresh_database
from vutler.celery import app

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("process")]

RECORDS = """
INSERT INTO metering_usagerecord (
    id, agent_id, workspace_id, timestamp, provider, model, tier, tokens_input, tokens_output, cost_total, price_total,
    request_type, latency_ms, status, http_status, mode, streamed, attempts, cache_read, cache_write, reasoning,
    price_version, experiment_arm, provenance, stored)
SELECT gen_random_uuid(), ('00000000-0000-7000-8000-00000000000' || n %% 3)::uuid,
    '00000000-0000-7000-8000-0000000000ff', timestamptz '2026-02-16 06:00Z' + n * interval '1 minute', 'openai',
    'gpt-4o-mini', 'byokey', 1250, 380, 416000000, 0, 'chat', 1200, 'ok', 200, 'byokey', false, '[]', 0, 0, 0, '', '',
    'reported', nextval('metering_usagerecord_order')
FROM generate_series(1, %s) AS n"""


@contextmanager
def worker(environment: dict[str, str], *command: str) -> Iterator[None]:
    log = Path(environment["VAR_DIR"]) / "worker.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def wait_for(database: "psycopg.Connection[tuple[int]]", requests: int) -> None:
    """Wait until the months come to so many requests, and see that they never come to more."""
    deadline = time.monotonic() + PATIENCE
    while True:
        row = database.execute("SELECT coalesce(sum(requests), 0)::bigint FROM metering_monthlyusage").fetchone()
        assert row is not None
        assert row[0] <= requests
        if row[0] == requests:
            return
        assert time.monotonic() < deadline, f"{row[0]} requests are rolled up"
        time.sleep(0.1)


def away_for_an_hour(timetable: Path) -> None:
    """Leave the timetable as a worker leaves it that ran everything an hour ago and was stopped then."""
    scheduler = PersistentScheduler(app=app, schedule_filename=str(timetable))
    for entry in scheduler.schedule.values():
        entry.last_run_at = datetime.now(UTC) - timedelta(hours=1)
    scheduler.close()


def test_a_worker_catches_up_by_itself_and_a_second_one_doubles_nothing(tmp_path: Path):
    redis = Redis()
    away_for_an_hour(tmp_path / "celerybeat-schedule")
    with fresh_database() as url:
        environment = {**os.environ, "DATABASE_URL": url, "REDIS_URL": redis.url, "VAR_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
        with psycopg.connect(url, autocommit=True) as database:
            database.execute(RECORDS, [3_000])
            one = ("vutler.worker", "--concurrency=1")
            another = ("celery", "-A", "vutler", "worker", "--concurrency=2", "-n", "second@%h")
            with worker(environment, *one):
                wait_for(database, 3_000)
                with worker(environment, *another):
                    database.execute(RECORDS, [2_000])
                    with Celery(broker=redis.url) as jobs:
                        for _ in range(12):
                            jobs.send_task("metering.tasks.roll_up")
                    wait_for(database, 5_000)
            wait_for(database, 5_000)
        checked = subprocess.run(
            [sys.executable, "manage.py", "meter_check"], cwd=ROOT, env=environment, check=True, capture_output=True
        )
    redis.stop()
    assert b"agree" in checked.stdout
