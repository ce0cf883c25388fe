"""What a month on a plan costs, in every order of coming, going up, going down and leaving."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import plans
from agents.plans import TIERS, Kind, Stay, ahead, change, month_of, month_terms, plan, tier_at

STARTER, PRO, ULTRA = TIERS


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def lived(*steps: tuple[str, str | None]) -> plans.History:
    """Return the history of an agent whose owner decided these things at these moments."""
    history: plans.History = ()
    for moment, tier in steps:
        history = change(history, tier=tier, at=at(moment)).history
    return history


def month(history: plans.History, text: str) -> tuple[str, int, str] | None:
    """Return a month's plan, days paid for, and fee."""
    terms = month_terms(history, month=at(f"{text}-15"))
    return (terms.plan.name, terms.days, str(terms.fee)) if terms else None


# --- The first month ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("joined", "days", "fee"),
    [
        ("2026-02-01T00:00:00", 28, "5.00"),
        ("2026-02-01T23:59:59", 28, "5.00"),
        ("2026-02-02T00:00:00", 27, "4.82"),
        ("2026-02-16T12:00:00", 13, "2.32"),
        ("2026-02-28T23:59:59.999999", 1, "0.18"),
        ("2028-02-29T00:00:00", 1, "0.17"),
        ("2028-02-28T23:59:59.999999", 2, "0.34"),
        ("2026-04-30T12:00:00", 1, "0.17"),
        ("2026-12-31T23:59:59.999999", 1, "0.16"),
    ],
)
def test_elena_pays_for_the_days_that_are_left_today_included(joined, days, fee):
    history = lived((joined, STARTER))
    assert month(history, joined[:7]) == ("Starter", days, fee)


def test_a_fee_is_rounded_once_to_the_cent():
    assert month(lived(("2026-04-16", STARTER)), "2026-04") == ("Starter", 15, "2.50")
    assert month(lived(("2026-04-28", STARTER)), "2026-04") == ("Starter", 3, "0.50")
    assert month(lived(("2026-02-06", ULTRA)), "2026-02") == ("Ultra", 23, "16.43")


def test_the_allowance_of_the_first_month_is_whole_and_the_next_month_too():
    history = lived(("2026-02-28", PRO))
    first, second = (month_terms(history, month=at(day)) for day in ("2026-02-28", "2026-03-01"))
    assert first
    assert second
    assert (first.plan.included_tokens, first.fee, first.whole) == (5_000_000, Decimal("0.36"), False)
    assert (second.plan.included_tokens, second.fee, second.whole) == (5_000_000, Decimal("10.00"), True)


def test_days_are_counted_in_utc_wherever_elena_is():
    tokyo = datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=9)))  # still 28 February in UTC
    history = change((), tier=STARTER, at=tokyo).history
    assert month(history, "2026-02") == ("Starter", 1, "0.18")
    assert month(history, "2026-03") == ("Starter", 31, "5.00")


# --- Up, down, away -----------------------------------------------------------------------------

ORDERS = [
    pytest.param(
        (("2026-01-10", STARTER), ("2026-02-16", PRO)),
        {"2026-01": ("Starter", 22, "3.55"), "2026-02": ("Pro", 28, "10.00"), "2026-03": ("Pro", 31, "10.00")},
        id="up: the month is billed at the higher plan",
    ),
    pytest.param(
        (("2026-02-16", STARTER), ("2026-02-20", PRO)),
        {"2026-01": None, "2026-02": ("Pro", 13, "4.64"), "2026-03": ("Pro", 31, "10.00")},
        id="up in the first month: the day of joining stays",
    ),
    pytest.param(
        (("2026-02-16", STARTER), ("2026-02-20", PRO), ("2026-02-28T23:59:59", ULTRA)),
        {"2026-02": ("Ultra", 13, "9.29"), "2026-03": ("Ultra", 31, "20.00")},
        id="up twice",
    ),
    pytest.param(
        (("2026-01-10", PRO), ("2026-02-16", STARTER)),
        {"2026-02": ("Pro", 28, "10.00"), "2026-03": ("Starter", 31, "5.00")},
        id="down: from next month",
    ),
    pytest.param(
        (("2026-02-16", PRO), ("2026-02-17", STARTER)),
        {"2026-02": ("Pro", 13, "4.64"), "2026-03": ("Starter", 31, "5.00")},
        id="down in the first month",
    ),
    pytest.param(
        (("2026-01-10", ULTRA), ("2026-02-16", PRO), ("2026-02-17", STARTER)),
        {"2026-02": ("Ultra", 28, "20.00"), "2026-03": ("Starter", 31, "5.00")},
        id="down twice: the last word counts",
    ),
    pytest.param(
        (("2026-01-10", PRO), ("2026-02-16", None)),
        {"2026-02": ("Pro", 28, "10.00"), "2026-03": None},
        id="leave: the month is paid",
    ),
    pytest.param(
        (("2026-02-16", PRO), ("2026-02-16", None)),
        {"2026-02": ("Pro", 13, "4.64"), "2026-03": None},
        id="come and leave the same day",
    ),
    pytest.param(
        (("2026-01-10", PRO), ("2026-02-16", STARTER), ("2026-02-20", ULTRA)),
        {"2026-02": ("Ultra", 28, "20.00"), "2026-03": ("Ultra", 31, "20.00")},
        id="down, then up: going down is off",
    ),
    pytest.param(
        (("2026-01-10", PRO), ("2026-02-16", STARTER), ("2026-02-20", PRO)),
        {"2026-02": ("Pro", 28, "10.00"), "2026-03": ("Pro", 31, "10.00")},
        id="down, then stay",
    ),
    pytest.param(
        (("2026-01-10", PRO), ("2026-02-16", STARTER), ("2026-02-20", None)),
        {"2026-02": ("Pro", 28, "10.00"), "2026-03": None},
        id="down, then leave",
    ),
    pytest.param(
        (("2026-01-10", PRO), ("2026-02-16", None), ("2026-02-20", STARTER)),
        {"2026-02": ("Pro", 28, "10.00"), "2026-03": ("Starter", 31, "5.00")},
        id="leave, then down instead",
    ),
    pytest.param(
        (("2026-01-10", STARTER), ("2026-02-16", None), ("2026-02-20", PRO)),
        {"2026-02": ("Pro", 28, "10.00"), "2026-03": ("Pro", 31, "10.00")},
        id="leave, then up instead",
    ),
    pytest.param(
        (("2026-01-10", STARTER), ("2026-02-16", None), ("2026-02-20", STARTER)),
        {"2026-02": ("Starter", 28, "5.00"), "2026-03": ("Starter", 31, "5.00")},
        id="leave, then stay",
    ),
    pytest.param(
        (("2026-01-10", STARTER), ("2026-02-16", PRO), ("2026-02-20", STARTER)),
        {"2026-02": ("Pro", 28, "10.00"), "2026-03": ("Starter", 31, "5.00")},
        id="up, then down",
    ),
    pytest.param(
        (("2026-01-10", STARTER), ("2026-02-16", PRO), ("2026-02-20", None)),
        {"2026-02": ("Pro", 28, "10.00"), "2026-03": None},
        id="up, then leave",
    ),
    pytest.param(
        (("2026-01-10", PRO), ("2026-01-20", None), ("2026-03-30", STARTER)),
        {
            "2026-01": ("Pro", 22, "7.10"),
            "2026-02": None,
            "2026-03": ("Starter", 2, "0.32"),
            "2026-04": ("Starter", 30, "5.00"),
        },
        id="leave, then come back later: prorated again",
    ),
    pytest.param(
        (("2026-01-10", PRO), ("2026-01-20", None), ("2026-02-01T00:00:00", PRO)),
        {"2026-01": ("Pro", 22, "7.10"), "2026-02": ("Pro", 28, "10.00")},
        id="come back at the midnight of leaving",
    ),
    pytest.param(
        (("2026-01-10", ULTRA), ("2026-01-31T23:59:59.999999", STARTER)),
        {"2026-01": ("Ultra", 22, "14.19"), "2026-02": ("Starter", 28, "5.00")},
        id="down in the last microsecond",
    ),
    pytest.param(
        (("2026-01-10", ULTRA), ("2026-02-01T00:00:00", STARTER)),
        {"2026-02": ("Ultra", 28, "20.00"), "2026-03": ("Starter", 31, "5.00")},
        id="down in the first microsecond",
    ),
    pytest.param(
        (("2026-01-10", STARTER), ("2026-02-01T00:00:00", ULTRA)),
        {"2026-01": ("Starter", 22, "3.55"), "2026-02": ("Ultra", 28, "20.00")},
        id="up in the first microsecond: last month stays as it was",
    ),
    pytest.param(
        (("2028-01-31", STARTER), ("2028-02-29T23:59:59", PRO)),
        {"2028-01": ("Starter", 1, "0.16"), "2028-02": ("Pro", 29, "10.00"), "2028-03": ("Pro", 31, "10.00")},
        id="up on a leap day",
    ),
    pytest.param(
        (("2028-02-29", ULTRA), ("2028-02-29T23:59:59", None)),
        {"2028-02": ("Ultra", 1, "0.69"), "2028-03": None},
        id="come and leave on a leap day",
    ),
    pytest.param(
        (("2026-12-31", STARTER), ("2026-12-31T12:00:00", PRO)),
        {"2026-12": ("Pro", 1, "0.32"), "2027-01": ("Pro", 31, "10.00")},
        id="over new year",
    ),
]


@pytest.mark.parametrize(("steps", "months"), ORDERS)
def test_every_order(steps, months):
    history = lived(*steps)
    assert {name: month(history, name) for name in months} == months


def test_going_up_is_at_once_going_down_waits_for_the_first():
    history = lived(("2026-01-10", PRO), ("2026-02-16", STARTER))
    assert [tier_at(history, at(moment)) for moment in ("2026-02-28T23:59:59.999999", "2026-03-01")] == [PRO, STARTER]
    waiting = ahead(history, at=at("2026-02-20"))
    assert waiting
    assert (waiting.tier, waiting.on) == (STARTER, at("2026-03-01"))
    assert ahead(history, at=at("2026-03-01")) is None
    assert tier_at(lived(("2026-01-10", STARTER), ("2026-02-16T12:00:00", PRO)), at("2026-02-16T12:00:00")) == PRO


def test_leaving_waits_for_the_first():
    history = lived(("2026-01-10", PRO), ("2026-02-16", None))
    assert tier_at(history, at("2026-02-28T23:59:59.999999")) == PRO
    assert tier_at(history, at("2026-03-01")) is None
    waiting = ahead(history, at=at("2026-02-20"))
    assert waiting
    assert (waiting.tier, waiting.on) == (None, at("2026-03-01"))


@pytest.mark.parametrize(
    ("steps", "tier", "kind"),
    [
        ((), STARTER, Kind.JOIN),
        ((), None, Kind.NOTHING),
        ((("2026-02-01", STARTER),), STARTER, Kind.NOTHING),
        ((("2026-02-01", STARTER),), PRO, Kind.UPGRADE),
        ((("2026-02-01", ULTRA),), PRO, Kind.DOWNGRADE),
        ((("2026-02-01", ULTRA),), None, Kind.LEAVE),
        ((("2026-02-01", ULTRA), ("2026-02-02", PRO)), PRO, Kind.NOTHING),
        ((("2026-02-01", ULTRA), ("2026-02-02", PRO)), ULTRA, Kind.STAY),
        ((("2026-02-01", ULTRA), ("2026-02-02", None)), None, Kind.NOTHING),
        ((("2026-02-01", ULTRA), ("2026-02-02", None)), ULTRA, Kind.STAY),
    ],
)
def test_what_a_change_comes_to(steps, tier, kind):
    assert change(lived(*steps), tier=tier, at=at("2026-02-16")).kind is kind


def test_a_change_says_what_is_paid_before_now_and_then():
    found = change(lived(("2026-02-16", STARTER)), tier=PRO, at=at("2026-02-20"))
    assert [str(terms.fee) for terms in (found.before, found.now, found.then) if terms] == ["2.32", "4.64", "10.00"]
    assert (found.effective, found.next_month) == (at("2026-02-20"), at("2026-03-01"))
    assert found.figures == "upgrade standard 2026-03-01 2.32 4.64 10.00"


def test_two_decisions_in_the_same_moment_leave_no_empty_stay():
    assert lived(("2026-02-16", STARTER), ("2026-02-16", PRO)) == (Stay(tier=PRO, starts=at("2026-02-16")),)


def test_a_second_process_whose_clock_is_a_little_behind_does_no_harm():
    history = lived(("2026-02-16T12:00:01", STARTER), ("2026-02-16T12:00:00", PRO))
    assert history == (Stay(tier=PRO, starts=at("2026-02-16T12:00:00")),)


def test_beyond_the_plan_elena_pays_by_the_token_half_up_to_the_cent():
    starter = plan(STARTER, on=date(2026, 2, 1))
    assert starter.beyond(500_000) == Decimal("1.00")
    assert starter.beyond(2_500) == Decimal("0.01")
    assert starter.beyond(2_499) == Decimal("0.00")


def test_terms_change_with_a_month():
    with pytest.raises(ValueError, match="can't change on 2026-02-10"):
        plans._row(**{"tier": "economy", "from": date(2026, 2, 10)})


# --- Whatever anybody does ----------------------------------------------------------------------

DAYS = st.integers(0, 151 * 24 * 3600 - 1).map(lambda seconds: at("2027-12-01") + timedelta(seconds=seconds))
MOMENTS = DAYS | st.sampled_from(
    [at(day) for day in ("2028-01-01", "2028-02-01", "2028-02-29", "2028-03-01", "2028-02-29T23:59:59.999999")]
)
STEPS = st.lists(st.tuples(MOMENTS, st.sampled_from([*TIERS, None])), max_size=12).map(
    lambda steps: sorted(steps, key=lambda step: step[0])
)
MONTHS = [at(f"{year}-{number:02}-01") for year, numbers in ((2027, [12]), (2028, range(1, 7))) for number in numbers]


@given(STEPS)
def test_an_agent_is_never_on_two_plans_and_pays_one_fee_a_month(steps):
    history: plans.History = ()
    for moment, tier in steps:
        before = history
        history = change(before, tier=tier, at=moment).history
        # What is past is past.
        for earlier in (moment - timedelta(days=days) for days in (1, 10, 40)):
            assert tier_at(before, earlier) == tier_at(history, earlier)
            if month_of(earlier)[1] <= moment:
                assert month_terms(before, month=earlier) == month_terms(history, month=earlier)
    for one, other in pairwise(history):
        assert one.ends is not None
        assert one.starts < one.ends <= other.starts
    for start in MONTHS:
        terms = month_terms(history, month=start)
        fees = {plan(tier, on=start.date()).fee for tier in TIERS if _on(history, tier, start)}
        assert (terms is None) == (not fees)
        if terms:
            assert terms.plan.fee == max(fees)
            assert 1 <= terms.days <= terms.days_of_month
            assert 0 < terms.fee <= terms.plan.fee
            assert terms.whole == (terms.fee == terms.plan.fee)


@given(STEPS)
def test_what_an_agent_is_on_is_what_its_month_is_billed_as(steps):
    """At any moment the plan in force is the month's highest so far: nobody pays for one plan and has another."""
    history: plans.History = ()
    for moment, tier in steps:
        history = change(history, tier=tier, at=moment).history
        on = tier_at(history, moment)
        terms = month_terms(history, month=moment)
        assert on == (terms.plan.tier if terms else None)


def _on(history: plans.History, tier: str, start: datetime) -> bool:
    return any(stay.tier == tier and stay.touches(*month_of(start)) for stay in history)
