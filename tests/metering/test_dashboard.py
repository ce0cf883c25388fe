"""The dashboard of llm-strategy, an agent's month in detail, and what can be taken away from it."""

import csv
import io
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import time_machine
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.test import AsyncClient

from agents import services, subscriptions
from agents.models import Agent
from metering import rollups
from metering.charts import Bar, chart, round_up
from metering.details import details
from metering.periods import Month
from metering.totals import Slice, Totals
from tests.agents.program import program_of
from tests.agents.test_agent_pages import page
from tests.metering.records import FEBRUARY, record, store

MONTH = {"month": "2026-02"}
MANAGED: Any = {
    "mode": "managed",
    "provider": "minimax",
    "model": "MiniMax-M2.5",
    "cost_input": "0.15",
    "cost_output": "0.3",
}


@pytest.fixture(autouse=True)
def _in_february():
    with time_machine.travel(datetime(2026, 2, 27, 12, tzinfo=UTC), tick=False):
        yield


def on_plan(person, name: str, tier: str) -> Agent:
    agent = services.create_agent(workspace=person.workspace, name=name, by=person.user)
    subscriptions.choose_plan(agent=agent, tier=tier, by=person.user, at=datetime(2026, 2, 1, tzinfo=UTC))
    return agent


def used(agent: Agent, millions: str, *, tier: str, requests: int = 4) -> None:
    """Store an agent's February: so many million tokens in a few requests, at the list price of $5 a million."""
    tokens = int(Decimal(millions) * 1_000_000) // requests
    store(
        *(
            record(
                agent,
                at=FEBRUARY + timedelta(days=number),
                tier=tier,
                tokens_input=tokens * 7 // 10,
                tokens_output=tokens - tokens * 7 // 10,
                price_total=tokens * 5_000_000,  # picodollars
                **MANAGED,
            )
            for number in range(requests)
        )
    )


@pytest.fixture
def drawing(elena) -> list[Agent]:
    """The three agents of the document's drawing."""
    agents = [
        on_plan(elena, "Support Bot", "economy"),
        on_plan(elena, "Content Agent", "standard"),
        on_plan(elena, "FAQ Bot", "economy"),
    ]
    for agent, millions, tier in zip(agents, ("1.2", "2.1", "0.4"), ("economy", "standard", "economy"), strict=True):
        used(agent, millions, tier=tier)
    return agents


@pytest.mark.parametrize("rolled_up", [False, True])
def test_three_agents_as_drawn(elena, drawing, rolled_up):
    if rolled_up:
        rollups.roll_up()
    html = " ".join(page(elena.client().get("/usage/", MONTH)).split())
    assert "February 2026" in html
    assert '<strong title="3,700,000">3.7M</strong><span>tokens in all</span>' in html
    assert '<strong title="$18.5">$18.50</strong><span>cost (included in your plan)</span>' in html
    assert "<strong>$0</strong><span>overage</span>" in html
    for name, tokens, percent, plan in (
        ("Support Bot", "1.2M", 60, "Starter"),
        ("Content Agent", "2.1M", 42, "Pro"),
        ("FAQ Bot", "400k", 20, "Starter"),
    ):
        bar = html.split(f">{name}</a>")[1].split("</li>")[0]
        assert tokens in bar
        assert f"{plan} · {percent}% used" in bar
        assert "View details" in bar
        assert "Change plan" in bar
    assert '<progress class="meter" max="2000000" value="1200000"' in html
    totals = program_of(elena).get("usage/", **MONTH).json()["totals"]
    assert (totals["tokens"], totals["price_total"], totals["overage"]) == (3_700_000, "18.50", "0.00")


def test_what_lies_beyond_a_plan_is_said_in_dollars(elena):
    agent = on_plan(elena, "Helpdesk", "economy")
    used(agent, "2.5", tier="economy")
    html = " ".join(page(elena.client().get("/usage/", MONTH)).split())
    assert "<strong>$1.00</strong><span>overage</span>" in html
    assert "Starter · 125% used · 500k beyond: $1.00" in html
    assert '<progress class="meter bad" max="2000000" value="2500000"' in html
    [row] = program_of(elena).get("usage/", **MONTH).json()["agents"]
    assert {name: row[name] for name in ("tier", "included_tokens", "overage_tokens", "overage")} == {
        "tier": "economy",
        "included_tokens": 2_000_000,
        "overage_tokens": 500_000,
        "overage": "1.00",
    }


def test_what_was_used_on_ones_own_key_does_not_count_towards_the_plan(elena):
    agent = on_plan(elena, "Helpdesk", "economy")
    used(agent, "1", tier="economy")
    store(record(agent, tokens_input=5_000_000))
    [row] = program_of(elena).get("usage/", **MONTH).json()["agents"]
    assert (row["tokens"], row["overage_tokens"]) == (6_000_380, 0)


def test_an_agent_on_a_plan_that_used_nothing_is_there_too(elena):
    on_plan(elena, "Helpdesk", "premium")
    html = page(elena.client().get("/usage/", MONTH))
    assert "Helpdesk" in html
    assert "of 10M tokens" in html


def test_elena_meets_no_word_that_is_none_of_hers(elena, drawing):
    pages = ["/usage/", f"/usage/{drawing[0].pk}/", f"/usage/{drawing[0].pk}/?day=2026-02-16"]
    store(record(drawing[0], tier="economy", status="provider_error", http_status=502, **MANAGED))
    for path in pages:
        html = page(elena.client().get(path)).split("<main")[1]
        for word in ("minimax", "MiniMax", "provider", "LLM", "API key", "Cost, at", "0.45"):
            assert word.lower() not in html.lower().replace("provider_error", ""), (path, word)


# --- an agent's month ---------------------------------------------------------------------------


def test_an_agents_month_in_detail(alex, bot):
    store(
        *(record(bot, cost_input="0.10", cost_output="0.20", latency_ms=ms, cache_read=625) for ms in (100, 200, 900)),
        record(bot, status="timeout", latency_ms=60_000, tokens_input=0, tokens_output=0),
        record(bot, request_type="email", model="gpt-4o", at=FEBRUARY + timedelta(days=2)),
    )
    rollups.roll_up()
    html = " ".join(page(alex.client().get(f"/usage/{bot.pk}/", MONTH)).split())
    for part in (
        "≈ $0.90",
        "2 more requests have no price known",
        "80%",
        "of 5 requests answered",
        "0.20 s",
        "95% no longer than 1.2 s",
        "37.5%",
        "No answer in time",
        "E-mail",
        "openai/gpt-4o-mini",
    ):
        assert part in html
    assert f"/usage/{bot.pk}/records.csv?month=2026-02" in html
    assert "style=" not in html.split("<main")[1]
    assert '<rect class="lower"' in html
    assert 'href="?month=2026-02&amp;day=2026-02-16"' in html


def test_the_records_behind_a_bar(alex, bot):
    store(
        record(bot, tokens_input=11_111),
        record(bot, tokens_input=22_222, status="timeout"),
        record(bot, tokens_input=33_333, request_type="tool"),
        record(bot, tokens_input=44_444, at=FEBRUARY + timedelta(days=1)),
    )
    shown = {
        "day=2026-02-16": ("11,111", "22,222", "33,333"),
        "status=timeout": ("22,222",),
        "type=tool": ("33,333",),
        "day=2026-02-17&status=ok": ("44,444",),
        "day=2026-02-18": (),
    }
    for query, expected in shown.items():
        html = page(alex.client().get(f"/usage/{bot.pk}/?month=2026-02&{query}"))
        assert tuple(each for each in ("11,111", "22,222", "33,333", "44,444") if each in html) == expected
    for nonsense in ("day=2026-02-30", "status=wrong", "type=wrong", "day=x"):
        page(alex.client().get(f"/usage/{bot.pk}/?{nonsense}"), 404)


def test_a_month_without_requests_says_so(alex, bot):
    assert "No requests in February 2026" in page(alex.client().get(f"/usage/{bot.pk}/", MONTH))


def test_details_are_sums_of_their_parts():
    key = Slice(
        agent_id=UUID(int=1),
        workspace_id=UUID(int=2),
        tier="byokey",
        provider="openai",
        model="gpt-4o",
        status="ok",
        request_type="chat",
    )
    parts = {
        (date(2026, 2, 1), key): Totals(requests=2, tokens_input=10, cache_read=4),
        (date(2026, 2, 3), key._replace(status="timeout")): Totals(requests=1),
    }
    seen = details(parts, Counter(), month=Month(2026, 2), today=date(2026, 2, 3))
    assert [(day.day.day, day.sums.requests, day.failed) for day in seen.days] == [(1, 2, 0), (2, 0, 0), (3, 1, 1)]
    assert (seen.succeeded, seen.cached, seen.p50) == (Decimal("66.6"), Decimal("40.0"), None)
    assert [(part.name, part.sums.requests) for part in seen.failures] == [("timeout", 1)]


def test_what_the_month_will_come_to_is_said_while_it_lasts(elena):
    agent = on_plan(elena, "Helpdesk", "economy")
    days = [datetime(2026, 2, day, 8, tzinfo=UTC) for day in range(1, 27)]
    store(*(record(agent, at=day, tier="economy", tokens_input=90_000, tokens_output=0, **MANAGED) for day in days))
    rollups.roll_up()
    html = " ".join(page(elena.client().get("/usage/", MONTH)).split())
    assert "Starter · 117% used · 340k beyond: $0.68 · about 2.5M by the end of the month, it will pass" in html
    html = " ".join(page(elena.client().get(f"/usage/{agent.pk}/", MONTH)).split())
    assert "by the end of the month: it will pass the plan" in html
    assert "probably between 2.5M and 2.5M" in html
    with time_machine.travel(datetime(2026, 3, 3, 12, tzinfo=UTC), tick=False):
        assert "by the end of" not in page(elena.client().get("/usage/", MONTH))


# --- charts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (3, 5), (10, 10), (11, 20), (4_999, 5_000), (5_001, 10_000)]
)
def test_a_chart_ends_at_a_number_easily_read(value, top):
    assert round_up(value) == top


def test_bars_stand_on_the_ground_and_their_parts_on_each_other():
    drawn = chart([(30, 20), (0, 0), (100, 0), (1, 0)])
    assert (drawn.top, drawn.width, drawn.height) == (100, 80, 200)
    assert drawn.bars == [
        Bar(x=3, lower_y=140, lower=60, upper_y=100, upper=40),
        Bar(x=23, lower_y=200, lower=0, upper_y=200, upper=0),
        Bar(x=43, lower_y=0, lower=200, upper_y=0, upper=0),
        Bar(x=63, lower_y=198, lower=2, upper_y=198, upper=0),
    ]


# --- taken away ---------------------------------------------------------------------------------


@pytest.fixture
async def _connections_are_closed():
    # Those of the thread in which asgiref runs what would block.
    yield
    await sync_to_async(connections.close_all)()


async def downloaded(person, path: str) -> list[dict[str, str]]:
    client = AsyncClient()
    await client.aforce_login(person.user, backend=settings.AUTHENTICATION_BACKENDS[1])
    answer: Any = await client.get(path)
    assert answer.status_code == 200
    assert answer.is_async  # under ASGI, anything else would be gathered in memory first
    text = b"".join([part async for part in answer.streaming_content]).decode()
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_connections_are_closed")
async def test_records_stream_as_csv(alex, bot, monkeypatch):
    monkeypatch.setattr("metering.exports.AT_ONCE", 4)
    records = [record(bot, at=FEBRUARY + timedelta(minutes=n), cost_input="0.1", cost_output="0.25") for n in range(10)]
    strange = record(bot, at=FEBRUARY + timedelta(days=1), model='=HYPERLINK("http://evil.example")')
    await sync_to_async(store)(*records, strange)
    rows = await downloaded(alex, f"/usage/{bot.pk}/records.csv?month=2026-02")
    assert [row["id"] for row in rows] == [strange.id, *(each.id for each in reversed(records))]
    assert rows[0]["model"] == '\'=HYPERLINK("http://evil.example")'
    assert (rows[0]["cost_total"], rows[1]["cost_total"], rows[1]["price_total"]) == ("", "0.35", "0")
    assert rows[-1]["timestamp"] == "2026-02-16T18:00:00Z"
    assert len(await downloaded(alex, f"/usage/{bot.pk}/records.csv?month=2026-02&day=2026-02-17")) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_connections_are_closed")
async def test_on_a_plan_the_csv_says_what_it_is_worth_and_not_who_answered(alex, bot):
    await sync_to_async(store)(record(bot, tier="economy", price_total=8_150_000_000, **MANAGED))
    [row] = await downloaded(alex, f"/usage/{bot.pk}/records.csv?month=2026-02")
    assert (row["tier"], row["price_total"], row["tokens_input"]) == ("economy", "0.00815", "1250")
    assert {row[name] for name in ("provider", "model", "cost_input", "cost_output", "cost_total")} == {""}


def test_nobody_downloads_somebody_elses(maya, bot):
    assert maya.client().get(f"/usage/{bot.pk}/records.csv").status_code == 404
