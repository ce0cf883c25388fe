"""The margins of llm-strategy, and where the price list turns round."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

from agents.plans import plan, plans
from metering.margins import Way, by_tier, cheapest, margin, month_price

THEN = date(2026, 2, 16)  # the day of llm-strategy
ROUTES = [
    ("economy", Way(provider="minimax", model="MiniMax-M2.5")),
    ("economy", Way(provider="mistral", model="mistral-small-latest")),
    ("standard", Way(provider="openai", model="gpt-4o-mini")),
    ("standard", Way(provider="anthropic", model="claude-haiku-4-5")),
    ("premium", Way(provider="anthropic", model="claude-sonnet-4-20250514")),
    ("premium", Way(provider="openai", model="gpt-4o")),
]


def test_the_documents_margins_on_the_documents_day():
    tiers = by_tier(ROUTES, on=THEN)
    assert [(each.plan.name, each.lowest, each.highest) for each in tiers] == [
        ("Starter", Decimal("96.1"), Decimal("97.3")),
        ("Pro", Decimal("88.0"), Decimal("98.1")),
        ("Ultra", Decimal("77.5"), Decimal("83.8")),
    ]


def test_what_the_example_costs_over_each_route():
    costs = [each.cost for tier in by_tier(ROUTES, on=THEN) for each in tier.margins]
    assert costs == [Decimal(cost) for cost in ("0.195", "0.135", "0.195", "1.2", "4.5", "3.25")]


def test_a_later_day_has_its_own_rates():
    [_starter, pro, _ultra] = by_tier(ROUTES, on=date(2026, 11, 24))
    # 500K at $1.00 and 200K at $5.00
    assert (pro.margins[1].cost, pro.lowest) == (Decimal("1.5"), Decimal("85.0"))


def test_a_model_without_a_price_has_no_margin():
    unknown = margin(plan("economy", on=THEN), Way(provider="groq", model="brand-new"), on=THEN)
    assert (unknown.cost, unknown.percent) == (None, None)
    [starter, *_others] = by_tier([("economy", unknown.way)], on=THEN)
    assert (starter.lowest, starter.highest) == (None, None)


def test_past_ten_and_a_third_million_tokens_starter_is_always_the_cheapest():
    spans = [(each.plan.name, each.tokens, each.until) for each in cheapest(plans(on=THEN))]
    assert spans == [
        ("Starter", 0, 4_500_000),
        ("Pro", 4_500_000, 6_000_000),
        ("Starter", 6_000_000, 9_500_000),
        ("Ultra", 9_500_000, 10_333_333),
        ("Starter", 10_333_333, None),
    ]


def test_what_a_month_costs_its_customer():
    starter = plan("economy", on=THEN)
    assert month_price(starter, Fraction(2_000_000)) == 5
    assert month_price(starter, Fraction(2_500_000)) == 6
