"""What months would have come to on each plan: as invoices have it, to the cent, and honest about quality."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import time_machine
from django.urls import reverse

from agents import services as people
from agents import subscriptions
from agents.models import Agent, Member, Role
from billing import closing
from billing.models import InvoiceLine
from billing.replay import Verdict, verdict
from billing.what_if import WhatIf, what_if
from metering.periods import Month
from metering.rollups import roll_up
from metering.store import StoreUnavailable
from metering.totals import BYOKEY
from tests.agents.program import program_of
from tests.billing.customers import came_early, on_plan, use

pytestmark = pytest.mark.django_db
# Which records are in the meter for good is only known of transactions that are over.
over = pytest.mark.django_db(transaction=True)

MAY = datetime(2026, 5, 12, tzinfo=UTC)
MONTHS = [Month(2026, 2), Month(2026, 3), Month(2026, 4)]


def usd(*amounts: str) -> list[Decimal]:
    return [Decimal(each) for each in amounts]


def day(month: int, number: int = 10) -> datetime:
    return datetime(2026, month, number, 9, tzinfo=UTC)


def of(person, agent: Agent, *, at: datetime = MAY) -> WhatIf:
    [found] = what_if(person.workspace, [agent], at=at)
    return found


def amounts(found: WhatIf, tier: str) -> list[Decimal | None]:
    way = next(each for each in found.ways if each.tier == tier)
    return [each.amount for each in (*way.months, way.together)]


def verdicts(found: WhatIf) -> list[tuple[str, Verdict, Decimal | None]]:
    return [(each.tier, each.verdict, each.difference) for each in found.ways]


@pytest.fixture
def helpdesk(elena) -> Agent:
    """On Starter since February, and too busy for it: 6 million tokens in March."""
    came_early(elena)
    bot = on_plan(elena, "economy", name="Helpdesk")
    for month, tokens in ((2, 1_500_000), (3, 6_000_000), (4, 2_500_000)):
        use(bot, tokens, at=day(month))
    return bot


@over
def test_three_months_on_each_plan(elena, helpdesk):
    roll_up()
    found = of(elena, helpdesk)
    assert [each.month for each in found.months] == MONTHS
    assert [each.tokens for each in found.months] == [1_500_000, 6_000_000, 2_500_000]
    assert amounts(found, "economy") == usd("5.00", "13.00", "6.00", "24.00")
    assert amounts(found, "standard") == usd("10.00", "13.00", "10.00", "33.00")
    assert amounts(found, "premium") == usd("20.00", "20.00", "20.00", "60.00")
    assert found.actual.amount == Decimal("24.00")
    assert verdicts(found)[:3] == [
        ("economy", Verdict.NOW, Decimal("0.00")),
        ("standard", Verdict.MORE, Decimal("9.00")),
        ("premium", Verdict.MORE, Decimal("36.00")),
    ]
    # Starter ends at $5 beyond: in March it would have stopped there, unless its owner had raised that.
    assert [way.together.stops for way in found.ways] == [1, 0, 0, 0]


@over
def test_it_is_what_the_invoices_say(elena, helpdesk):
    subscriptions.choose_plan(agent=helpdesk, tier="standard", by=elena.user, at=day(4))
    for month in MONTHS:
        list(closing.close_month(month, at=month.next().start.replace(day=3)))
    lines = InvoiceLine.objects.filter(agent_id=helpdesk.pk)
    invoiced = [sum((line.amount for line in lines.filter(month=month.start.date())), Decimal()) for month in MONTHS]
    found = of(elena, helpdesk)
    assert invoiced == [each.actual.amount for each in found.months] == usd("5.00", "13.00", "10.00")
    assert [each.tier for each in found.months] == ["economy", "economy", "standard"]


@over
def test_it_is_the_same_before_and_after_the_roll_up(elena, helpdesk):
    before = of(elena, helpdesk)
    roll_up()
    assert of(elena, helpdesk) == before


def test_the_first_month_is_paid_by_its_days_on_every_plan(elena):
    bot = on_plan(elena, "standard", at=day(4, 16))  # 15 of 30 days
    use(bot, 2_500_000, at=day(4, 20))
    found = of(elena, bot)
    assert [each.month for each in found.months] == MONTHS[2:]
    assert [amounts(found, tier)[0] for tier in ("economy", "standard", "premium")] == usd("3.50", "5.00", "10.00")


def test_the_current_month_of_an_agent_that_just_came(elena):
    bot = on_plan(elena, "economy", at=day(5, 1))
    use(bot, 2_500_000, at=day(5, 9))
    found = of(elena, bot)
    assert (found.so_far, [each.month for each in found.months]) == (True, [Month(2026, 5)])


def test_an_agent_that_did_nothing_has_nothing_to_compare(elena):
    idle = people.create_agent(workspace=elena.workspace, name="Idle", by=elena.user)
    assert what_if(elena.workspace, [idle], at=MAY) == []


# --- One's own key ----------------------------------------------------------------------------------


def own(bot: Agent, at: datetime, cost: str | None = "0.40") -> None:
    price = {"cost_input": cost, "cost_output": "0.00"} if cost else {}
    use(bot, 2_500_000, at=at, mode="byokey", tier="byokey", **price)


def test_alex_sees_what_his_key_costs_and_what_plans_would(alex, bot):
    for month in (2, 3, 4):
        own(bot, day(month))
    found = of(alex, bot)
    assert (found.now, found.actual.amount) == (BYOKEY, Decimal("1.20"))
    assert amounts(found, BYOKEY) == usd("0.40", "0.40", "0.40", "1.20")
    assert amounts(found, "economy") == usd("6.00", "6.00", "6.00", "18.00")
    assert verdicts(found)[0] == ("economy", Verdict.MORE, Decimal("16.80"))


def test_what_nobody_knows_is_not_zero_and_not_compared(alex, bot):
    own(bot, day(3))
    own(bot, day(4), None)
    found = of(alex, bot)
    assert amounts(found, BYOKEY) == [Decimal("0.40"), None, Decimal("0.40")]
    assert found.actual.unpriced == 1
    assert {each.verdict for each in found.ways} == {Verdict.NOW, Verdict.UNKNOWN}


def test_what_a_plan_took_is_priced_for_the_model_that_the_owner_named(elena, helpdesk):
    assert amounts(of(elena, helpdesk), BYOKEY) == [None] * 4
    Agent.objects.filter(pk=helpdesk.pk).update(provider="openai", model="gpt-4o-mini")
    helpdesk.refresh_from_db()
    # $0.15 a million in. All that it costs us, and over which provider, stays with us.
    assert amounts(of(elena, helpdesk), BYOKEY) == usd("0.225", "0.90", "0.375", "1.50")


def test_a_month_on_both(alex, bot):
    own(bot, day(4, 2))
    subscriptions.choose_plan(agent=bot, tier="standard", by=alex.user, at=day(4, 16))
    use(bot, 3_000_000, at=day(4, 20))
    found = of(alex, bot)
    assert found.actual.amount == Decimal("5.40")  # 15 of 30 days, and the key's part
    # On a plan throughout: the whole month, and all that was used.
    assert amounts(found, "standard") == usd("11.50", "11.50")


# --- What is made of it -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tier", "now", "difference", "expected"),
    [
        ("economy", "standard", "-5.00", Verdict.LESS_FOR_LESS),
        ("premium", "standard", "-5.00", Verdict.LESS),
        ("premium", "standard", "0.00", Verdict.MORE),
        ("standard", BYOKEY, "-5.00", Verdict.LESS_FOR_OTHER),
        (BYOKEY, "standard", "-5.00", Verdict.LESS_FOR_OTHER),
        (BYOKEY, "standard", None, Verdict.UNKNOWN),
    ],
)
def test_what_costs_less_and_does_less_is_told_apart(tier, now, difference, expected):
    assert verdict(tier, now=now, difference=Decimal(difference) if difference else None) is expected


def page(person, query: str = "") -> str:
    with time_machine.travel(MAY):
        answer = person.client().get(reverse("billing:what_if") + query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_the_page_does_not_send_anybody_away_from_their_quality_for_the_price(elena):
    bot = on_plan(elena, "premium", name="Coder")
    use(bot, 12_000_000, at=day(4))
    shown = page(elena, f"?agent={bot.pk}")
    # Starter: $5 and 10 million at $2. February and March did nothing, and cost $5 each.
    assert "$35.00 less, at a lower quality" in shown
    assert "Ultra was the right one: nothing of its quality or better would have cost less." in shown
    assert "that is no reason to leave the quality you chose" in shown
    assert f'href="/agents/{bot.pk}/plan/confirm/?tier=economy"' in shown


def test_the_page_says_when_a_better_plan_costs_less(elena):
    bot = on_plan(elena, "economy", at=day(4, 1))
    use(bot, 9_000_000, at=day(4))
    assert "Pro would have cost $1.50 less than Starter" not in page(elena)
    use(bot, 2_000_000, at=day(4))
    shown = page(elena)
    assert "Starter was the right one" in shown  # 23.00 against 28.00: by tokens alone it always is
    helper = on_plan(elena, "standard", name="Researcher", at=day(4, 1))
    use(helper, 9_000_000, at=day(4))
    assert "Ultra would have cost $2.00 less than Pro, and is made for more demanding work." in page(elena)


def asks_about_the_past(person, agent: Agent) -> bool:
    """Whether the page on which a plan is chosen leads to what the last months would have cost."""
    with time_machine.travel(MAY):
        answer = person.client().get(f"/agents/{agent.pk}/plan/")
    assert answer.status_code == 200
    return "What would the last months have cost?" in answer.content.decode()


def test_a_plan_is_chosen_with_the_last_months_in_sight_once_there_are_some(alex, bot, monkeypatch):
    assert not asks_about_the_past(alex, bot)
    own(bot, at=day(4))
    assert asks_about_the_past(alex, bot)

    def away(**_asked: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr("metering.reading.months_by_mode", away)
    assert not asks_about_the_past(alex, bot)


def test_a_plans_page_names_no_model_and_no_provider(elena, helpdesk):
    shown = page(elena)
    for word in ("API", "provider", "LLM", "gpt", "OpenAI", "MiniMax"):
        assert word not in shown


def test_somebody_elses_agents_are_not_there(elena, alex, helpdesk):
    assert "Helpdesk" not in page(alex)
    assert alex.client().get(f"/billing/what-if/?agent={helpdesk.pk}").status_code == 404
    assert alex.client().get("/billing/what-if/?agent=nonsense").status_code == 404


def test_members_who_see_to_agents_see_it_and_those_for_billing_cannot_change_plans(elena, maya, helpdesk):
    member = Member.objects.create(workspace=elena.workspace, user=maya.user, role=Role.MEMBER)
    client = maya.client()
    client.post(f"/workspaces/{elena.workspace.pk}/switch/")
    with time_machine.travel(MAY):
        assert "/plan/confirm/" in client.get("/billing/what-if/").content.decode()
        member.role = Role.BILLING
        member.save()
        shown = client.get("/billing/what-if/").content.decode()
    assert ("Helpdesk" in shown, "/plan/confirm/" in shown) == (True, False)


@over
def test_it_takes_as_few_queries_for_many_agents(elena, helpdesk, django_assert_max_num_queries):
    for number in range(8):
        use(on_plan(elena, "standard", name=f"Bot {number}"), 1_000_000, at=day(4))
    roll_up()
    agents = list(elena.workspace.agents.prefetch_related("stays"))
    with django_assert_max_num_queries(12):
        assert len(what_if(elena.workspace, agents, at=MAY)) == 9


# --- For programs -----------------------------------------------------------------------------------


def test_the_api(elena, alex, helpdesk):
    program = program_of(elena)
    on_plan(elena, "standard", name="Writer")
    with time_machine.travel(MAY):
        every = program.get("what-if/").json()["agents"]
        [one] = program.get("what-if/", agent=str(helpdesk.pk)).json()["agents"]
    assert [each["name"] for each in every] == ["Helpdesk", "Writer"]
    assert (one["id"], one["tier"], one["so_far"], one["actual"]["amount"]) == (
        str(helpdesk.pk),
        "economy",
        False,
        "24.00",
    )
    assert one["months"][1] == {
        "month": "2026-03",
        "tier": "economy",
        "tokens": 6_000_000,
        "actual": {"amount": "13.00", "beyond": "8.00", "stops": 1, "unpriced": 0},
    }
    pro = one["ways"][1]
    assert (pro["tier"], pro["together"]["amount"], pro["difference"], pro["verdict"]) == (
        "standard",
        "33.00",
        "9.00",
        "more",
    )
    assert one["ways"][3]["together"]["amount"] is None
    assert program_of(alex).get("what-if/", agent=str(helpdesk.pk)).status_code == 404
    assert program.get("what-if/", agent="nonsense").status_code == 404
