"""The demo workspace: made once, found again."""

import json
import stat
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from agents.models import Agent, AgentToken, AuditEntry, User
from llm import demo
from llm.models import PoolKey, Route
from metering.models import UsageRecord
from metering.periods import Month
from metering.store import get_store

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)


@pytest.fixture
def var_dir(db, settings, tmp_path):
    settings.VAR_DIR = tmp_path
    return tmp_path


def run_demo() -> dict[str, str]:
    out = StringIO()
    call_command("demo", json=True, stdout=out)
    made: dict[str, str] = json.loads(out.getvalue())
    return made


def test_the_second_time_gives_the_same_credentials_and_adds_nothing(var_dir):
    first = run_demo()
    counts = Agent.objects.count(), UsageRecord.objects.count(), AuditEntry.objects.count()
    assert run_demo() == first
    assert (Agent.objects.count(), UsageRecord.objects.count(), AuditEntry.objects.count()) == counts
    assert stat.S_IMODE((var_dir / "demo.json").stat().st_mode) == 0o600


def test_its_password_logs_in_and_its_token_is_an_agent_s(var_dir):
    made = run_demo()
    assert User.objects.get(email=made["email"]).check_password(made["password"])
    token = AgentToken.objects.get(prefix=made["agent_token"][:16])
    assert token.agent.provider == "echo"
    assert token.agent.ready


def test_a_revoked_token_is_replaced(var_dir):
    made = run_demo()
    AgentToken.objects.update(revoked_at=timezone.now())
    again = run_demo()
    assert again["agent_token"] != made["agent_token"]
    assert AgentToken.objects.get(revoked_at=None).agent.provider == "echo"
    assert Agent.objects.count() == 5


def test_a_file_from_another_database_is_not_believed(var_dir):
    (var_dir / "demo.json").write_text(json.dumps({"email": "demo@vutler.example", "password": "x"}))
    made = run_demo()
    assert User.objects.get(email=made["email"]).check_password(made["password"])


def test_months_of_use_come_to_about_what_the_template_says(var_dir):
    demo.seed(kept_in=var_dir / "demo.json", now=NOW)
    workspace = User.objects.get(email=demo.EMAIL).workspaces.get()
    october = {row.agent_id: row for row in get_store().usage(workspace_id=workspace.pk, month=Month(2026, 10))}
    writer = october[workspace.agents.get(name="Newsletter writer").pk]
    assert 600_000 < writer.tokens_input < 1_000_000
    assert 300_000 < writer.tokens_output < 500_000
    assert writer.unpriced == 0
    assert writer.cost_total > 0
    first = get_store().first_record_at(workspace_id=workspace.pk)
    assert first is not None
    assert datetime(2026, 8, 18, tzinfo=UTC) <= first < datetime(2026, 8, 21, tzinfo=UTC)


def test_the_agent_to_try_has_no_past_so_that_one_s_own_request_shows(var_dir):
    demo.seed(kept_in=var_dir / "demo.json", now=NOW)
    agent = Agent.objects.get(provider="echo")
    assert not UsageRecord.objects.filter(agent_id=agent.pk).exists()
    assert UsageRecord.objects.filter(timestamp__gt=NOW).count() == 0


def test_people_get_lines_to_read(var_dir):
    out = StringIO()
    call_command("demo", stdout=out)
    assert "email            demo@vutler.example" in out.getvalue()
    assert "agent token      vtl_agent_" in out.getvalue()


def test_one_agent_is_on_a_plan_with_months_behind_it(var_dir):
    demo.seed(kept_in=var_dir / "demo.json", now=NOW)
    writer = Agent.objects.get(name="Recipe writer")
    assert writer.tier_at(NOW) == "economy"
    for month in (Month(2026, 9), Month(2026, 10)):
        tokens = get_store().month_tokens(agent_id=writer.pk, month=month)
        assert 800_000 < tokens < 1_700_000
    row = next(
        each
        for each in get_store().usage(workspace_id=writer.workspace_id, month=Month(2026, 10))
        if each.agent_id == writer.pk
    )
    assert row.price_total == row.tokens * Decimal("0.000005")
    assert row.cost_total > 0


def test_echo_answers_for_plans_where_nobody_else_can(var_dir):
    demo.seed(kept_in=var_dir / "demo.json", now=NOW)
    assert PoolKey.objects.get().provider == "echo"
    assert [route.provider for route in Route.objects.filter(tier="economy")][-1] == "echo"


def test_echo_stays_out_of_a_pool_that_has_a_key(var_dir):
    key = PoolKey(provider="minimax", name="Ours")
    key.seal("sk-ours-0123456789")
    key.save()
    demo.seed(kept_in=var_dir / "demo.json", now=NOW)
    assert PoolKey.objects.count() == 1
    assert not Route.objects.filter(provider="echo").exists()
