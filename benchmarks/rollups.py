"""Measures the meter on one real Postgres: shipping, rolling up a million new records, and pages at 1 and 10 million.

    make bench-meter      (or: python -m benchmarks.rollups [--millions 1 10] [--requests 200])

Records come from generate_series: 20 workspaces with 5 agents each, over 90 days. Shipping is from the journal's
``write`` until the last record is in the table. The dashboard, an agent's page and the usage API are asked for through
Django's test client, middleware and templates included; printed are p50 and p95. Every statement about records that
they take is explained as well: one that scans a month's records from end to end ends the run with status 1.
"""

import argparse
import asyncio
import base64
import os
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
from django.utils import timezone

from tests.backends import Mongo, Postgres

WORKSPACES, AGENTS, DAYS = 20, 5, 90
MILLION = 1_000_000
KEY = "metering_usagerecord_pkey"
AT_ONCE = 1_000  # requests that end together

INSERT = """
INSERT INTO metering_usagerecord (
    id, agent_id, workspace_id, timestamp, provider, model, tier, tokens_input, tokens_output, cost_input, cost_output,
    cost_total, price_total, request_type, latency_ms, status, http_status, mode, streamed, attempts, cache_read,
    cache_write, reasoning, price_version, experiment_arm, provenance, stored)
SELECT gen_random_uuid(), agent.id, agent.workspace_id,
    %(until)s::timestamptz - random() * %(span)s::interval,
    'minimax', 'MiniMax-M2.5', 'economy', (random() * 2000)::int, (random() * 600)::int, 187500, 228000, 415500,
    8150000000, (ARRAY['chat', 'email', 'tool'])[1 + n %% 3], (200 + random() * 3000)::int,
    CASE WHEN n %% 50 = 0 THEN 'timeout' ELSE 'ok' END, 200, 'managed', n %% 2 = 0, '[]', 0, 0, 0, '', '', 'reported',
    nextval('metering_usagerecord_order')
FROM generate_series(1, %(count)s) AS n
JOIN (SELECT id, workspace_id, row_number() OVER () - 1 AS number FROM agents_agent) AS agent
    ON agent.number = (n::bigint * 7919) %% %(agents)s"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--millions", type=int, nargs="+", default=[1, 10], help="records to ask pages at")
    options.add_argument("--requests", type=int, default=200, help="requests a page")
    asked = options.parse_args()
    prepare()
    measure(asked.millions, asked.requests)


def prepare() -> None:
    """Start a Postgres of our own, make the tables, and a world of agents in them."""
    os.environ.update(
        DJANGO_SETTINGS_MODULE="vutler.settings",
        DATABASE_URL=Postgres(durable=True).url,
        METER_DATABASE_URL="",
        REDIS_URL="",
        VAR_DIR=tempfile.mkdtemp(prefix="vutler-bench-"),
        SECRET_KEY="benchmarks-only",
        FIELD_ENCRYPTION_KEYS=base64.urlsafe_b64encode(b"0" * 32).decode(),
        DEBUG="true",
        HTTPS="false",
        LOG_LEVEL="ERROR",
        EMAIL_URL="dummymail://",
        ALLOWED_HOSTS="testserver",
    )
    django.setup()
    from django.core.management import call_command

    from metering.store import get_store

    call_command("migrate", verbosity=0)
    # As if the server had been there for that long.
    for days in range(DAYS, 0, -28):
        get_store().make_room(at=timezone.now() - timedelta(days=days))
    from agents.models import Agent, Member, PlanStay, Role, User, Workspace

    user = User.objects.create_user("bench@vutler.example")
    workspaces = Workspace.objects.bulk_create(Workspace(name=f"Workspace {n}") for n in range(WORKSPACES))
    Member.objects.bulk_create(Member(workspace=each, user=user, role=Role.OWNER) for each in workspaces)
    agents = Agent.objects.bulk_create(
        Agent(workspace=each, name=f"Agent {n}") for each in workspaces for n in range(AGENTS)
    )
    long_ago = timezone.now() - timedelta(days=DAYS)
    PlanStay.objects.bulk_create(PlanStay(agent=each, tier="economy", starts_at=long_ago) for each in agents)


def measure(millions: list[int], requests: int) -> None:
    from metering import rollups

    print(f"{'records':>12}  {'shipped/s':>10}  {'rolled up':>10}  {'page':<10}  {'p50 ms':>7}  {'p95 ms':>7}")
    stored = 0
    shipped = shipping()
    scanned: set[str] = set()
    for goal in millions:
        with unindexed():
            while stored < goal:
                insert(MILLION, span=f"{DAYS} days")
                stored += 1
        rollups.roll_up()
        analyze()
        # What a busy hour leaves: a million new records.
        insert(MILLION, span="1 hour")
        stored += 1
        took = timed(rollups.roll_up)
        insert(2_000, span="1 minute")
        for number, (name, times) in enumerate(pages(requests).items()):
            begin = f"{stored * MILLION:>12,}  {shipped:>10,.0f}  {took:>8.1f} s" if not number else " " * 36
            print(f"{begin}  {name:<10}  {statistics.median(times):>7.1f}  {p95(times):>7.1f}", flush=True)
        scanned |= scans()
        shipped = shipping()
    print(f"shipped/s into what speaks MongoDB's protocol here (SecantusDB): {shipping_to_mongodb():,.0f}")
    if scanned:
        raise SystemExit(f"scanned from end to end: {', '.join(sorted(scanned))}")


def shipping_to_mongodb() -> float:
    """Return how many records a second go into the tests' server, which is no measure of a real mongod."""
    from django.conf import settings

    server = Mongo()
    settings.METER_MONGODB_URL = server.url("bench")
    try:
        return shipping(20_000)
    finally:
        settings.METER_MONGODB_URL = ""
        server.remove()


def shipping(records: int = 100_000) -> float:
    """Return how many records a second go through the journal into the table."""
    import msgspec

    from agents.models import Agent
    from metering.journal import Journal
    from metering.store import get_store
    from metering.usage import record_id
    from tests.metering.records import record

    agent = Agent.objects.first()
    assert agent
    one = record(agent, at=timezone.now(), tier="economy", mode="managed")
    lines = [msgspec.json.encode(msgspec.structs.replace(one, id=record_id())) for _ in range(records)]

    async def ship() -> None:
        journal = Journal(Path(os.environ["VAR_DIR"]) / "journal", append=get_store().append)
        journal.start()
        # So many requests at a time wait for their record to be on disk.
        for start in range(0, records, AT_ONCE):
            await asyncio.gather(*map(journal.write, lines[start : start + AT_ONCE]))
        await journal.close(within=600)

    return records / timed(lambda: asyncio.run(ship()))


def insert(count: int, *, span: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        until = timezone.now()
        cursor.execute(INSERT, {"until": until, "span": span, "count": count, "agents": WORKSPACES * AGENTS})


@contextmanager
def unindexed() -> Iterator[None]:
    """Take the records' indexes away and make them again at the end, which is many times as fast as filling them."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '256MB'; SET synchronous_commit = off")
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'metering_usagerecord'")
        indexes = {name: definition.replace(" ON ONLY ", " ON ") for name, definition in cursor.fetchall()}
        del indexes[KEY]
        cursor.execute(f"ALTER TABLE metering_usagerecord DROP CONSTRAINT {KEY}")
        for name in indexes:
            cursor.execute(f"DROP INDEX {name}")
        yield
        cursor.execute(f"ALTER TABLE metering_usagerecord ADD CONSTRAINT {KEY} PRIMARY KEY (id, timestamp)")
        for definition in indexes.values():
            cursor.execute(definition)


def analyze() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def pages(requests: int) -> dict[str, list[float]]:
    """Return how long each page took (ms), for workspaces at random."""
    from django.conf import settings
    from django.test import Client

    from agents.models import User, Workspace

    dice = random.Random(1)
    client = Client()
    client.force_login(User.objects.get(email="bench@vutler.example"), backend=settings.AUTHENTICATION_BACKENDS[1])
    workspaces = list(Workspace.objects.prefetch_related("agents"))
    asked: dict[str, Callable[[Any], str]] = {
        "dashboard": lambda _agent: "/usage/",
        "agent": lambda agent: f"/usage/{agent.pk}/",
        "API": lambda _agent: "/api/v1/usage/",
    }
    times: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(requests + 10):
        workspace = dice.choice(workspaces)
        client.post(f"/workspaces/{workspace.pk}/switch/")
        agent = dice.choice(list(workspace.agents.all()))
        for name, path in asked.items():
            took = timed(lambda path=path, agent=agent: client.get(path(agent)))
            if number >= 10:  # the first ones warm templates and connections
                times[name].append(took * 1_000)
    return times


def scans() -> set[str]:
    """Return which months' records the pages read from end to end, by the plans of their statements."""
    from django.conf import settings
    from django.db import connection
    from django.test import Client

    from agents.models import Agent, User

    found: set[str] = set()

    def explain(run: Callable[..., Any], statement: str, values: Any, many: bool, context: Any) -> Any:
        if "metering_usagerecord" in statement and statement.lstrip().startswith("SELECT"):
            with context["connection"].connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {statement}", values)
                plan = "\n".join(row[0] for row in cursor.fetchall())
                found.update(re.findall(r"Seq Scan on (metering_usagerecord_\d{4}_\d\d)", plan))
        return run(statement, values, many, context)

    agent = Agent.objects.order_by("?").first()
    assert agent
    client = Client()
    client.force_login(User.objects.get(email="bench@vutler.example"), backend=settings.AUTHENTICATION_BACKENDS[1])
    client.post(f"/workspaces/{agent.workspace_id}/switch/")
    with connection.execute_wrapper(explain):
        for path in ("/usage/", f"/usage/{agent.pk}/", "/api/v1/usage/", "/api/v1/usage/records/"):
            assert client.get(path).status_code == 200
    return found


def p95(times: list[float]) -> float:
    return sorted(times)[len(times) * 95 // 100]


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
