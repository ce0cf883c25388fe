"""Usage in the management API: the month's sums, and the records behind them."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import time_machine

from agents import services
from metering.serializers import UsdField
from metering.store import StoreUnavailable
from metering.store.sql import SqlStore
from tests.agents.program import Program, program_of
from tests.metering.records import FEBRUARY, record, store

SHOWN = {
    "provider": "openai",
    "model": "gpt-4o-mini",
    "tier": "byokey",
    "tokens_input": 1250,
    "tokens_output": 380,
    "price_total": "0.00",
    "request_type": "chat",
    "latency_ms": 1200,
    "status": "ok",
    "http_status": 200,
    "mode": "byokey",
    "streamed": False,
    "ttft_ms": None,
    "attempts": [],
    "cache_read": 0,
    "cache_write": 0,
    "reasoning": 0,
    "experiment_arm": "",
}


@pytest.fixture
def program(alex) -> Program:
    return program_of(alex)


def test_a_month_of_two_agents(program, alex, bot):
    idle = services.create_agent(workspace=alex.workspace, name="Idle", by=alex.user)
    store(
        record(bot, cost_input="0.000188", cost_output="0.000228"),
        record(bot, cost_input="0.000188", cost_output="0.000228"),
        record(bot),
        record(bot, at=datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)),
    )
    nothing = {"included_tokens": 0, "overage_tokens": 0, "overage": "0.00", "price_total": "0.00"}
    used = {
        "requests": 3,
        "tokens_input": 3750,
        "tokens_output": 1140,
        "tokens": 4890,
        "cost_total": "0.000832",
        "unpriced": 1,
    } | nothing
    unused = dict.fromkeys(used, 0) | {"cost_total": "0.00"} | nothing
    assert program.get("usage/", month="2026-02").json() == {
        "month": "2026-02",
        "agents": [
            {"id": str(idle.pk), "name": "Idle", "tier": "byokey", **unused},
            {"id": str(bot.pk), "name": "Support Bot", "tier": "byokey", **used},
        ],
        "totals": used,
    }


def test_a_cost_that_nobody_knows_is_not_zero(program, bot):
    store(record(bot), record(bot))
    shown = program.get("usage/", month="2026-02").json()
    assert (shown["agents"][0]["cost_total"], shown["agents"][0]["unpriced"]) == (None, 2)
    assert (shown["totals"]["cost_total"], shown["totals"]["unpriced"]) == (None, 2)


def test_what_is_known_is_summed_beside_what_is_not(program, alex, bot):
    other = services.create_agent(workspace=alex.workspace, name="Other", by=alex.user)
    store(record(bot), record(other, cost_input="1.25", cost_output="0.25"))
    shown = program.get("usage/", month="2026-02").json()
    assert [each["cost_total"] for each in shown["agents"]] == ["1.50", None]
    assert (shown["totals"]["cost_total"], shown["totals"]["unpriced"]) == ("1.50", 1)


def test_a_deleted_agents_month_stays(program, alex, bot):
    store(record(bot))
    services.delete_agent(agent=bot, by=alex.user)
    assert [each["name"] for each in program.get("usage/", month="2026-02").json()["agents"]] == ["Support Bot"]
    assert program.get("usage/", month="2026-03").json()["agents"] == []
    assert len(program.get("usage/records/", agent=bot.pk).json()["results"]) == 1


def test_without_a_month_it_is_the_current_one(program, bot):
    with time_machine.travel(datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), tick=False):
        assert program.get("usage/").json()["month"] == "2026-02"
    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC), tick=False):
        assert program.get("usage/").json()["month"] == "2026-03"


@pytest.mark.parametrize("month", ["2026-2", "2026-13", "02/2026", "february", "\0"])
@pytest.mark.parametrize("path", ["usage/", "usage/records/"])
def test_a_month_that_is_none(program, path, month):
    answer = program.get(path, month=month)
    assert (answer.status_code, answer.json()) == (400, {"month": ["Write the month as 2026-02."]})


def test_a_record_as_the_meter_has_it(program, bot):
    stored = record(bot, cost_input="0.000188", cost_output="0.000228")
    store(stored)
    (shown,) = program.get("usage/records/").json()["results"]
    assert shown == SHOWN | {
        "id": stored.id,
        "agent_id": str(bot.pk),
        "workspace_id": str(bot.workspace_id),
        "timestamp": "2026-02-16T18:00:00Z",
        "cost_input": "0.000188",
        "cost_output": "0.000228",
        "cost_total": "0.000416",
        "price_version": "openai/gpt-4o-mini@2024-10-02",
        "provenance": "reported",
    }


def test_an_unpriced_record_costs_null(program, bot):
    store(record(bot))
    (shown,) = program.get("usage/records/").json()["results"]
    assert (shown["cost_input"], shown["cost_output"], shown["cost_total"]) == (None, None, None)


def test_records_come_newest_first_and_each_once(program, alex, bot):
    other = services.create_agent(workspace=alex.workspace, name="Other", by=alex.user)
    store(*(record(bot, at=FEBRUARY.replace(day=day), latency_ms=day) for day in range(1, 8)))
    store(record(other), record(bot, at=FEBRUARY.replace(month=3)))
    page = program.get("usage/records/", month="2026-02", agent=bot.pk, page_size=3).json()
    seen = [each["latency_ms"] for each in page["results"]]
    while page["next"]:
        page = program.get(page["next"].split("/api/v1/")[1]).json()
        assert page["previous"] is None
        seen += [each["latency_ms"] for each in page["results"]]
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_a_cursor_of_nobodys(program):
    answer = program.get("usage/records/", cursor="x")
    assert (answer.status_code, list(answer.json())) == (400, ["cursor"])


@pytest.mark.parametrize(("asked", "given"), [("0", 1), ("2", 2), ("999", 3), ("99999999999", 3), ("-1", 3), ("x", 3)])
def test_a_page_has_some_size(program, bot, asked, given):
    store(record(bot), record(bot), record(bot))
    assert len(program.get("usage/records/", page_size=asked).json()["results"]) == given


def test_another_workspaces_usage_is_not_there(stefan, bot):
    store(record(bot))
    program = program_of(stefan)
    assert program.get("usage/", month="2026-02").json()["agents"] == []
    assert program.get("usage/records/").json()["results"] == []
    assert program.get("usage/records/", agent=bot.pk).status_code == 404
    assert program.get("usage/records/", agent="nonsense").status_code == 404


def test_the_meter_is_away(program, monkeypatch):
    def away(*_args, **_asked):
        raise StoreUnavailable

    monkeypatch.setattr(SqlStore, "recent", away)
    monkeypatch.setattr(SqlStore, "records", away)
    for path in ("usage/", "usage/records/"):
        answer = program.get(path)
        assert answer.status_code == 503
        assert "Nothing is lost" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "0.00"), ("18.5", "18.50"), ("1E+3", "1000.00"), ("0.000416", "0.000416"), ("1E-12", "0.000000000001")],
)
def test_money_is_written_out(amount, text):
    assert UsdField().to_representation(Decimal(amount)) == text
