"""What a month costs, to the cent: by example, and against a second rater on thousands of generated workspaces."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import plans
from agents.plans import Stay, Terms, month_terms
from billing import invoicing
from billing.invoicing import AgentMonth, Credit, Hosting, Kind, LateMonth
from tests.billing import second_rater
from tests.billing.generated import START, examples, rates, requests, wishes
from tests.billing.second_rater import Request, Wish

CLOUD = Hosting(name="Cloud", fee=Decimal("180.00"))
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
BOT = UUID(int=1)


def terms(tier: str, *, since: datetime = datetime(2026, 2, 1, tzinfo=UTC), month: datetime = MARCH) -> Terms:
    found = month_terms((Stay(tier=tier, starts=since),), month=month)
    assert found
    return found


def agent(tier: str, tokens: int, *, since: datetime = datetime(2026, 2, 1, tzinfo=UTC)) -> AgentMonth:
    return AgentMonth(agent_id=BOT, name="FAQ Bot", terms=terms(tier, since=since), tokens=tokens)


def march(*agents: AgentMonth, **more) -> invoicing.Draft:
    return invoicing.draft(month="2026-03", agents=agents, **{"hosting": CLOUD, **more})


def amounts(draft: invoicing.Draft) -> list[tuple[str, str]]:
    return [(line.kind.value, str(line.amount)) for line in draft.lines]


def test_elena_pays_one_dollar_for_half_a_million_beyond_her_plan():
    draft = march(agent("economy", 2_500_000))
    assert amounts(draft) == [("hosting", "180.00"), ("plan", "5.00"), ("overage", "1.00")]
    assert (draft.subtotal, draft.tax, draft.total) == (Decimal("186.00"), Decimal("0.00"), Decimal("186.00"))
    assert draft.lines[-1].quantity == 500_000


def test_what_the_plan_covers_has_no_line():
    assert amounts(march(agent("economy", 2_000_000), hosting=None)) == [("plan", "5.00")]


def test_whoever_hosts_by_themselves_on_their_own_keys_gets_no_invoice():
    assert march(hosting=Hosting(name="Self-hosted", fee=Decimal("0.00"))).lines == ()


def test_the_first_month_is_paid_by_the_days_left_and_the_allowance_is_whole():
    draft = march(agent("standard", 5_000_001, since=datetime(2026, 3, 17, 23, 59, tzinfo=UTC)), hosting=None)
    # 15 of 31 days: 4.8387. One token beyond is less than half a cent.
    assert amounts(draft) == [("plan", "4.84")]


@pytest.mark.parametrize(
    ("tokens", "overage"), [(2_002_499, None), (2_002_500, "0.01"), (2_007_499, "0.01"), (2_007_500, "0.02")]
)
def test_half_a_cent_is_rounded_up_once(tokens, overage):
    lines = march(agent("economy", tokens), hosting=None).lines[1:]
    assert [str(line.amount) for line in lines] == ([overage] if overage else [])


def test_what_came_late_is_charged_as_the_difference_to_what_was_invoiced():
    late = LateMonth(
        month="2026-02", agent=agent("economy", 3_000_000), invoiced_tokens=2_500_000, invoiced=Decimal("1.00")
    )
    line = march(late=[late], hosting=None).lines[0]
    assert (line.kind, line.month, line.quantity, line.amount) == (Kind.LATE, "2026-02", 500_000, Decimal("1.00"))


def test_what_came_late_and_is_covered_by_the_plan_costs_nothing():
    late = LateMonth(
        month="2026-02", agent=agent("economy", 1_900_000), invoiced_tokens=1_000_000, invoiced=Decimal("0.00")
    )
    assert march(late=[late], hosting=None).lines == ()


def test_credits_are_used_in_their_order_and_never_make_an_invoice_negative():
    granted = [
        Credit(id=1, reason="Outage in March", left=Decimal("150.00")),
        Credit(id=2, reason="Welcome", left=Decimal("50.00")),
        Credit(id=3, reason="Never reached", left=Decimal("1.00")),
    ]
    draft = march(agent("economy", 0), credits=granted, tax_rate=Decimal(20))
    assert amounts(draft)[2:] == [("credit", "-150.00"), ("credit", "-35.00")]
    assert draft.total == 0


def test_tax_is_computed_once_on_the_sum():
    three = [agent("economy", 2_002_500) for _ in range(3)]  # 5.01 each: 20% a line would round 1.002 three times
    draft = march(*three, hosting=None, tax_rate=Decimal("20"))
    assert (draft.subtotal, draft.tax) == (Decimal("15.03"), Decimal("3.01"))


def test_credit_notes_give_back_the_tax_to_the_last_cent():
    # 10.01 at 8.875% is 0.89; thirds of it would be 0.30 each, and one cent too many.
    given_back, base, tax = [], Decimal("10.01"), Decimal("0.89")
    for part in (Decimal("3.34"), Decimal("3.34"), Decimal("3.33")):
        back = invoicing.credited_tax(part, rate=Decimal("8.875"), base_left=base, tax_left=tax)
        base, tax = base - part, tax - back
        given_back.append(str(back))
    assert (given_back, base, tax) == (["0.30", "0.30", "0.29"], Decimal("0.00"), Decimal("0.00"))


# --- Against the second rater ---------------------------------------------------------------------

MONTHS = [(2026, 2), (2026, 3), (2026, 4), (2026, 12), (2027, 1), (2028, 2)]
Agents = list[tuple[list[Wish], list[Request]]]


def history(asked: list[Wish]) -> plans.History:
    past: plans.History = ()
    for wish in sorted(asked, key=lambda each: each.when):
        past = plans.change(past, tier=wish.tier, at=wish.when).history
    return past


def counted(seen: list[Request], year: int, month: int, *, late: bool) -> int:
    mine = {r.id: r for r in seen if r.managed and (r.when.year, r.when.month) == (year, month)}
    return sum(r.tokens for r in mine.values() if late or not r.late)


def cents(amount: Decimal) -> int:
    assert amount == amount.quantize(Decimal("0.01"))
    return int(amount * 100)


def before(year: int, month: int) -> tuple[int, int]:
    return (year - 1, 12) if month == 1 else (year, month - 1)


def drawn_up(agents: Agents, ym: tuple[int, int], *, fee: str, credit: list[int], rate: str) -> invoicing.Draft:
    """Return the product's invoice of a generated workspace's month, with what came late of the month before."""
    then = before(*ym)
    months, late = [], []
    for asked, seen in agents:
        past, agent_id = history(asked), uuid4()
        current, earlier = (month_terms(past, month=datetime(*each, 1, tzinfo=UTC)) for each in (ym, then))
        if current:
            tokens = counted(seen, *ym, late=False)
            months.append(AgentMonth(agent_id=agent_id, name="a", terms=current, tokens=tokens))
        if earlier:
            in_time, whole = (counted(seen, *then, late=each) for each in (False, True))
            invoiced = earlier.plan.beyond(invoicing.beyond(earlier.plan, in_time))
            month_now = AgentMonth(agent_id=agent_id, name="a", terms=earlier, tokens=whole)
            late.append(LateMonth(month="before", agent=month_now, invoiced_tokens=in_time, invoiced=invoiced))
    return invoicing.draft(
        month=f"{ym[0]}-{ym[1]:02}",
        hosting=Hosting(name="Cloud", fee=Decimal(fee)),
        agents=months,
        late=late,
        credits=[Credit(id=n, reason="c", left=Decimal(left) / 100) for n, left in enumerate(credit)],
        tax_rate=Decimal(rate),
    )


workspaces = st.lists(st.tuples(wishes, requests), min_size=1, max_size=4)
money = st.fixed_dictionaries(
    {
        "fee": st.sampled_from(["0.00", "180.00", "199.99"]),
        "credit": st.lists(st.integers(1, 30_000), max_size=3),
        "rate": rates,
    }
)


@examples(200, thorough=10_000)
@given(agents=workspaces, ym=st.sampled_from(MONTHS), money=money)
def test_the_second_rater_agrees_to_the_cent(agents, ym, money):
    charges = [cents(Decimal(money["fee"]))]
    for asked, seen in agents:
        fee, over, _late = second_rater.agent_lines(asked, seen, *ym)
        _fee, _over, came_late = second_rater.agent_lines(asked, seen, *before(*ym))
        charges += [fee, over, came_late]
    draft = drawn_up(agents, ym, **money)
    base, tax, _left = second_rater.settled(charges, sum(money["credit"]), Fraction(money["rate"]) / 100)
    assert (cents(draft.subtotal), cents(draft.tax)) == (base, tax)
    assert draft.total == sum((line.amount for line in draft.lines), Decimal()) + draft.tax
    assert sorted(cents(line.amount) for line in draft.lines if line.amount > 0) == sorted(c for c in charges if c)


@examples(80)
@given(agents=workspaces, ym=st.sampled_from(MONTHS), money=money, more=st.integers(0, 20_000_000), data=st.data())
def test_more_tokens_never_cost_less(agents, ym, money, more, data):
    """Neither in the month itself nor in the one before, of which they come late."""
    few = drawn_up(agents, ym, **money).total
    which = data.draw(st.integers(0, len(agents) - 1))
    year, month = data.draw(st.sampled_from([ym, before(*ym)]))
    asked, seen = agents[which]
    one = Request(id="more", when=datetime(year, month, 28, tzinfo=UTC), tokens=more, late=month != ym[1])
    many = drawn_up([*agents[:which], (asked, [*seen, one]), *agents[which + 1 :]], ym, **money).total
    assert few <= many


@examples(100)
@given(base=st.integers(1, 10_000_000), cuts=st.lists(st.integers(0, 10_000_000), max_size=6), rate=rates)
def test_an_invoice_and_credit_notes_over_all_of_it_come_to_nothing(base, cuts, rate):
    """In however many parts it's credited, and never with more tax than is left."""
    left, tax_left = Decimal(base) / 100, invoicing.tax(Decimal(base) / 100, rate=Decimal(rate))
    for cut in [*cuts, None]:
        credited = left if cut is None else min(Decimal(cut) / 100, left)
        back = invoicing.credited_tax(credited, rate=Decimal(rate), base_left=left, tax_left=tax_left)
        left, tax_left = left - credited, tax_left - back
        assert min(left, tax_left, back) >= 0
    assert not left
    assert not tax_left


@pytest.mark.parametrize("tier", plans.TIERS)
def test_the_edge_of_the_allowance(tier):
    included = terms(tier).plan.included_tokens
    quantities = [invoicing.beyond(terms(tier).plan, included + step) for step in (-1, 0, 1)]
    assert quantities == [0, 0, 1]


@pytest.mark.parametrize(("tier", "cent"), [("economy", 2_500), ("standard", 1_667), ("premium", 1_000)])
def test_the_first_cent_beyond_the_allowance(tier, cent):
    """One token before it costs half a cent, nothing; with it, a cent: both raters say so."""
    included = terms(tier).plan.included_tokens
    for tokens, expected in ((included - 1, 0), (included, 0), (included + cent - 1, 0), (included + cent, 1)):
        product = march(agent(tier, tokens), hosting=None).lines[1:]
        seen = [Request(id="1", when=MARCH, tokens=tokens)]
        _fee, over, _late = second_rater.agent_lines([Wish(when=START, tier=tier)], seen, 2026, 3)
        assert (sum(cents(line.amount) for line in product), over) == (expected, expected)
