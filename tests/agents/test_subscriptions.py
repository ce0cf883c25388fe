"""Elena chooses, changes and leaves plans: what is kept of it, who is told, and what two clicks at once come to."""

import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from agents import services, subscriptions
from agents.changes import agents_changed
from agents.models import Agent, AuditEntry, Mode, PlanStay
from agents.plans import Kind, Terms

FEBRUARY_16 = datetime(2026, 2, 16, 12, tzinfo=UTC)
FEBRUARY_20 = datetime(2026, 2, 20, 12, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def helpdesk(elena) -> Agent:
    """Elena's agent, not on a plan yet."""
    return services.create_agent(workspace=elena.workspace, name="Helpdesk", template="support-email", by=elena.user)


@pytest.fixture
def told():
    """Who the gateway was told to forget."""
    ids: list[str] = []

    def note(sender, agent_ids, **_kwargs):
        ids.extend(agent_ids)

    agents_changed.connect(note)
    yield ids
    agents_changed.disconnect(note)


def terms(agent) -> Terms:
    found: Terms | None = agent.terms_at(FEBRUARY_16)
    assert found
    return found


def stays(agent):
    return [(row.tier, row.starts_at, row.ends_at) for row in PlanStay.objects.filter(agent=agent)]


def test_choosing_a_plan_starts_it_at_once(elena, helpdesk, told, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        change = subscriptions.choose_plan(agent=helpdesk, tier="economy", by=elena.user, at=FEBRUARY_16)
    assert (change.kind, change.figures) == (Kind.JOIN, "join economy 2026-03-01 0 2.32 5.00")
    assert stays(helpdesk) == [("economy", FEBRUARY_16, None)]
    assert (helpdesk.tier_at(FEBRUARY_16), helpdesk.mode, helpdesk.ready) == ("economy", Mode.MANAGED, True)
    assert told == [str(helpdesk.pk)]
    entry = AuditEntry.objects.get(action="plan.chosen")
    assert entry.sentence == "put the agent Helpdesk on the plan Starter"
    assert entry.actor == "elena@elena.example"


def test_a_preview_changes_nothing_and_says_what_then_happens(elena, helpdesk):
    preview = subscriptions.preview_plan(agent=helpdesk, tier="standard", at=FEBRUARY_16)
    assert stays(helpdesk) == []
    assert subscriptions.choose_plan(agent=helpdesk, tier="standard", by=elena.user, at=FEBRUARY_16) == preview


def test_up_down_and_away_are_kept_and_written_down(elena, helpdesk):
    for tier in ("economy", "standard"):
        subscriptions.choose_plan(agent=helpdesk, tier=tier, by=elena.user, at=FEBRUARY_16)
    subscriptions.choose_plan(agent=helpdesk, tier="economy", by=elena.user, at=FEBRUARY_20)
    assert stays(helpdesk) == [("standard", FEBRUARY_16, MARCH), ("economy", MARCH, None)]
    subscriptions.choose_plan(agent=helpdesk, tier="standard", by=elena.user, at=FEBRUARY_20)
    subscriptions.leave_managed(agent=helpdesk, by=elena.user, at=FEBRUARY_20)
    assert stays(helpdesk) == [("standard", FEBRUARY_16, MARCH)]
    assert (helpdesk.tier_at(FEBRUARY_20), helpdesk.tier_at(MARCH)) == ("standard", None)
    assert [entry.sentence for entry in AuditEntry.objects.filter(action__startswith="plan.")] == [
        "ended the plan Pro of the agent Helpdesk from 2026-03-01 on",
        "kept the agent Helpdesk on the plan Pro",
        "moved the agent Helpdesk down from Pro to Starter, from 2026-03-01 on",
        "moved the agent Helpdesk up from Starter to Pro",
        "put the agent Helpdesk on the plan Starter",
    ]


def test_the_same_choice_twice_is_once(elena, helpdesk):
    for _time in range(2):
        subscriptions.choose_plan(agent=helpdesk, tier="economy", by=elena.user, at=FEBRUARY_16)
    assert len(stays(helpdesk)) == 1
    assert AuditEntry.objects.filter(action="plan.chosen").count() == 1


def test_figures_that_moved_since_they_were_shown_are_not_agreed_to(elena, helpdesk):
    shown = subscriptions.preview_plan(agent=helpdesk, tier="economy", at=FEBRUARY_16)
    with pytest.raises(subscriptions.FiguresChanged):
        subscriptions.choose_plan(agent=helpdesk, tier="economy", by=elena.user, at=MARCH, agreed=shown.figures)
    assert stays(helpdesk) == []
    subscriptions.choose_plan(agent=helpdesk, tier="economy", by=elena.user, at=FEBRUARY_16, agreed=shown.figures)
    assert stays(helpdesk) == [("economy", FEBRUARY_16, None)]


def test_there_is_no_plan_of_that_name(elena, helpdesk):
    with pytest.raises(ValidationError, match="There is no such plan"):
        subscriptions.choose_plan(agent=helpdesk, tier="platinum", by=elena.user, at=FEBRUARY_16)


def test_a_deleted_agent_keeps_its_paid_month_and_no_more(elena, helpdesk, time_machine):
    subscriptions.choose_plan(agent=helpdesk, tier="economy", by=elena.user, at=FEBRUARY_16)
    time_machine.move_to(FEBRUARY_20, tick=False)
    services.delete_agent(agent=helpdesk, by=elena.user)
    assert stays(helpdesk) == [("economy", FEBRUARY_16, MARCH)]


# --- The limit beyond the plan ------------------------------------------------------------------


def test_the_limit_is_as_much_as_the_plan_until_elena_sets_her_own(elena, helpdesk):
    subscriptions.choose_plan(agent=helpdesk, tier="economy", by=elena.user, at=FEBRUARY_16)
    assert helpdesk.ceiling(terms(helpdesk)) == Decimal("5.00")
    subscriptions.choose_plan(agent=helpdesk, tier="standard", by=elena.user, at=FEBRUARY_16)
    assert helpdesk.ceiling(terms(helpdesk)) == Decimal("10.00")
    subscriptions.set_ceiling(agent=helpdesk, ceiling=Decimal("0"), by=elena.user)
    assert Agent.objects.get().ceiling(terms(helpdesk)) == Decimal("0")
    subscriptions.set_ceiling(agent=helpdesk, ceiling=Decimal("12.5"), by=elena.user)
    assert Agent.objects.get().overage_ceiling == Decimal("12.50")
    sentences = [entry.sentence for entry in AuditEntry.objects.filter(action="ceiling.changed")]
    assert sentences[0] == "changed the limit for extra use of the agent Helpdesk from $0.00 to $12.50"


@pytest.mark.parametrize("amount", ["-0.01", "100000.01", "1.005"])
def test_limits_that_make_no_sense(elena, helpdesk, amount):
    with pytest.raises(ValidationError, match="Give an amount"):
        subscriptions.set_ceiling(agent=helpdesk, ceiling=Decimal(amount), by=elena.user)


# --- What the database promises -----------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"tier": "premium", "starts_at": FEBRUARY_16, "ends_at": MARCH},
        {"tier": "premium", "starts_at": FEBRUARY_20, "ends_at": None},
        {"tier": "premium", "starts_at": MARCH, "ends_at": FEBRUARY_20},
        {"tier": "platinum", "starts_at": FEBRUARY_20, "ends_at": MARCH},
    ],
)
def test_rows_that_cannot_be(elena, helpdesk, row):
    subscriptions.choose_plan(agent=helpdesk, tier="economy", by=elena.user, at=FEBRUARY_16)
    with pytest.raises(IntegrityError), transaction.atomic():
        PlanStay.objects.create(agent=helpdesk, **row)


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_make_one_plan_after_the_other(elena, helpdesk):
    start = threading.Barrier(4)

    def click(tier: str) -> None:
        start.wait()
        try:
            agent = Agent.objects.get(pk=helpdesk.pk)
            subscriptions.choose_plan(agent=agent, tier=tier, by="elena", at=FEBRUARY_16)
        finally:
            connection.close()

    clicks = [threading.Thread(target=click, args=[tier]) for tier in ("economy", "premium", "standard", "economy")]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()
    # In whatever order they came: the highest is on now, and at most one plan waits for March.
    assert helpdesk.tier_at(FEBRUARY_16) == "premium"
    assert PlanStay.objects.filter(agent=helpdesk, ends_at=None).count() == 1
    assert terms(helpdesk).fee == Decimal("9.29")
