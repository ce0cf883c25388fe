"""What may be worth an experiment, from an agent's last 30 days."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agents import services, subscriptions
from agents.models import Agent
from llm.experiments import services as experiments
from llm.experiments.advice import advice
from llm.experiments.services import Side
from metering.models import DailyUsage

NOW = datetime(2026, 2, 28, 12, 0, tzinfo=UTC)


def used(agent, *, model="gpt-4o", tier="byokey", provider="openai", days_ago=3, requests=1_000, **sums) -> None:
    """A day's roll-up: by default 3M tokens in and 0.5M out, at $12.50."""
    usual = {
        "tokens_input": 3_000_000,
        "tokens_output": 500_000,
        "cache_read": 0,
        "cache_write": 0,
        "reasoning": 0,
        "cost_total": Decimal("12.50"),
        "price_total": Decimal(0),
        "unpriced": 0,
        "latency_ms": 2_000 * requests,
    }
    DailyUsage.objects.create(
        agent_id=agent.pk,
        workspace_id=agent.workspace_id,
        day=(NOW - timedelta(days=days_ago)).date(),
        tier=tier,
        provider=provider,
        model=model,
        status="ok",
        request_type="chat",
        requests=requests,
        **{**usual, **sums},
    )


def told(agent, *, at=NOW):
    found = Agent.objects.select_related("provider_key", "workspace").get(pk=agent.pk)
    return advice([found], workspace_id=agent.workspace_id, at=at)


@pytest.fixture
def helpdesk(elena):
    agent = services.create_agent(workspace=elena.workspace, name="Helpdesk", by=elena.user)
    subscriptions.choose_plan(agent=agent, tier="premium", by=elena.user, at=datetime(2026, 2, 1, tzinfo=UTC))
    return agent


def test_a_cheaper_model_of_alexs_key_is_named_with_what_it_would_have_cost(alex, bot):
    used(bot)
    [found] = told(bot)
    # gpt-4o-mini: $0.15 and $0.60 a million
    assert (found.kind, found.name, found.now, found.then) == (
        "cost", "gpt-4o-mini", Decimal("12.50"), Decimal("0.75"),
    )  # fmt: skip
    assert found.percent == 94
    assert found.arm == f"{bot.provider_key_id}:gpt-4o-mini"
    page = alex.client().get("/experiments/")
    assert page.status_code == 200


def test_models_of_keys_that_alex_has_not_are_not_named(alex, bot):
    used(bot, model="gpt-4o-mini", cost_total=Decimal("0.75"))
    assert told(bot) == []  # it is the cheapest of OpenAI's, and saves less than a dollar anywhere else


@pytest.mark.parametrize(
    "little", [{"requests": 99}, {"days_ago": 31}, {"unpriced": 1}, {"cost_total": Decimal("0.80")}]
)
def test_too_little_is_no_reason(bot, little):
    used(bot, **little)
    assert told(bot) == []


def test_a_faster_model_that_the_agent_has_used_itself(bot):
    used(bot, model="gpt-4o-mini", cost_total=Decimal("0.75"))
    used(bot, model="o3-mini", requests=150, cost_total=Decimal("0.70"), latency_ms=150 * 1_000)
    [found] = told(bot)
    assert (found.kind, found.name, found.now, found.then) == ("speed", "o3-mini", Decimal(2), Decimal(1))


def test_elena_is_told_of_a_smaller_plan_that_would_have_been_cheaper(elena, helpdesk):
    used(helpdesk, tier="premium", provider="anthropic", model="claude-sonnet-4-20250514")
    [found] = told(helpdesk)
    # Ultra $20; Starter $5 and 1.5M tokens beyond at $2; Pro $10.
    assert (found.kind, found.name, found.now, found.then, found.arm) == (
        "plan", "Starter", Decimal("20.00"), Decimal("8.00"), "economy:",
    )  # fmt: skip


def test_a_smaller_plan_is_not_advised_where_it_would_cost_more(helpdesk):
    used(helpdesk, tier="premium", provider="anthropic", model="claude-sonnet-4-20250514", tokens_input=30_000_000)
    assert [each.name for each in told(helpdesk)] != []
    assert told(helpdesk)[0].then < told(helpdesk)[0].now


def test_no_word_of_quality_and_what_may_be_lost_is_said(elena, helpdesk, time_machine):
    time_machine.move_to(NOW, tick=False)
    used(helpdesk, tier="premium", provider="anthropic", model="claude-sonnet-4-20250514")
    page = elena.client().get("/experiments/").content.decode()
    assert "Starter would have cost 60% less" in page
    assert "What you may lose: plans differ in quality, and a smaller one includes less." in page
    assert "nobody knows before trying" in page
    assert f"/experiments/new/?agent={helpdesk.pk}&amp;arm=:&amp;arm=economy%3A" in page
    assert "claude" not in page.lower()


def test_nothing_is_advised_of_an_agent_that_has_an_experiment_nor_of_others_agents(alex, bot, stefan, time_machine):
    time_machine.move_to(NOW, tick=False)
    used(bot)
    said = "gpt-4o-mini would have cost 94% less"
    assert said in alex.client().get("/experiments/").content.decode()
    assert said not in stefan.client().get("/experiments/").content.decode()
    experiments.start(agent=bot, name="", goal="cost", sides=[Side(), Side(model="gpt-4o-mini")], by=alex.user, at=NOW)
    assert said not in alex.client().get("/experiments/").content.decode()
