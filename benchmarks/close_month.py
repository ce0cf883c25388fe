"""Closes a month of 5,000 workspaces with 25,000 agents on plans, killed three times on the way.

Run it as ``python -m benchmarks.close_month [workspaces] [requests an agent]``. It starts a Postgres of its own.
"""

import tests.backends  # noqa: F401, I001 — starts Postgres and says where, before Django reads its settings

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vutler.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from agents.models import Agent, PlanStay, Workspace  # noqa: E402
from agents.plans import TIERS  # noqa: E402
from billing.models import Invoice, NumberCounter  # noqa: E402

WORKSPACES = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
REQUESTS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
AGENTS = 5  # a workspace
KILLS = 3
JANUARY = datetime(2026, 1, 15, tzinfo=UTC)
COMMAND = [sys.executable, "manage.py", "close_month", "2026-02"]

FILL = """
INSERT INTO metering_usagerecord (
    id, agent_id, workspace_id, timestamp, provider, model, tier, tokens_input, tokens_output, price_total,
    request_type, latency_ms, status, http_status, mode, streamed, attempts, cache_read, cache_write, reasoning,
    price_version, experiment_arm, provenance, stored
)
SELECT gen_random_uuid(), id, workspace_id, '2026-02-01'::timestamptz + random() * interval '28 days', 'minimax',
       'MiniMax-M2.5', 'economy', floor(random() * 400000), floor(random() * 100000), 0, 'chat', 900, 'ok', 200,
       'managed', false, '[]', 0, 0, 0, '', '', 'reported', 0
FROM agents_agent, generate_series(1, %(requests)s);
"""


def fill() -> None:
    """Let five agents of each company join a plan between the middle of January and the end of February."""
    companies = Workspace.objects.bulk_create([Workspace(name=f"Company {n}") for n in range(WORKSPACES)])
    Workspace.objects.update(created_at=JANUARY)
    agents = Agent.objects.bulk_create(
        [Agent(workspace=company, name=f"Agent {n}") for company in companies for n in range(AGENTS)], batch_size=5_000
    )
    stays = [
        PlanStay(agent=agent, tier=random.choice(TIERS), starts_at=JANUARY + timedelta(days=random.uniform(0, 44)))
        for agent in agents
    ]
    PlanStay.objects.bulk_create(stays, batch_size=5_000)
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"requests": REQUESTS})
        cursor.execute("ANALYZE")


def close(*, kill_at: int | None = None) -> float:
    """Close the month in a process of its own, or kill it once so many invoices are issued; return the seconds."""
    began = time.monotonic()
    process = subprocess.Popen(COMMAND, env=os.environ)
    while kill_at is not None and process.poll() is None:
        if Invoice.objects.issued().count() >= kill_at:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.05)
    process.wait()
    return time.monotonic() - began


def main() -> None:
    call_command("migrate", verbosity=0)
    fill()
    print(f"{WORKSPACES:,} workspaces, {WORKSPACES * AGENTS:,} agents, {WORKSPACES * AGENTS * REQUESTS:,} records")
    taken = 0.0
    for kill_at in sorted(random.sample(range(1, WORKSPACES), KILLS)):
        lived = close(kill_at=kill_at)
        taken += lived
        print(f"killed after {lived:.1f} s: {Invoice.objects.issued().count():,} invoices issued")
    taken += (last := close())
    print(f"closed after another {last:.1f} s, {taken:.1f} s altogether; once more takes {close():.1f} s")
    numbers = sorted(Invoice.objects.issued().values_list("number", flat=True))
    year = int(numbers[0].split("-")[1])
    assert numbers == [f"INV-{year}-{number:06}" for number in range(1, WORKSPACES + 1)], "a gap, or a second invoice"
    assert NumberCounter.objects.get(series="INV").last == WORKSPACES
    print(f"{len(numbers):,} invoices, no gap, none twice")


if __name__ == "__main__":
    main()
