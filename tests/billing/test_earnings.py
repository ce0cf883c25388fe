"""What agents on plans bring and cost us: the flat fee and the unused allowance in it, losses flagged."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.urls import reverse

from agents.models import User, Workspace
from billing import earnings, reports
from metering.rollups import roll_up
from tests.billing.customers import FEBRUARY, came_early, on_plan, use
from tests.conftest import PASSWORD, browser_of

# Which records are in the meter for good is only known of transactions that are over.
pytestmark = pytest.mark.django_db(transaction=True)

MARGINS = reverse("admin:billing_earnings")
REVENUE = reverse("admin:billing_revenue")


@pytest.fixture
def february(elena, maya, alex):
    """Elena's FAQ bot and an idle writer, Maya's coder that costs more than it brings, and Alex on his own key."""
    use(on_plan(elena, "economy"), 2_500_000, cost_input="0.25", cost_output="0")
    on_plan(elena, "standard", name="Writer")
    coder = on_plan(maya, "premium", name="Coder")
    use(coder, 11_000_000, cost_input="20.00", cost_output="13.50")
    # The key of hers that it was on before is hers to pay.
    use(coder, 1_000, mode="byokey", tier="byokey", cost_input="99.00", cost_output="0")
    roll_up()


def test_what_is_left_by_agent_customer_and_plan(february):
    found = earnings.worst_first(reports.earned(FEBRUARY))
    assert [(each.name, each.sums.brings, each.sums.cost, each.sums.left, each.sums.loses) for each in found] == [
        ("Coder", Decimal("25.00"), Decimal("33.50"), Decimal("-8.50"), True),
        ("FAQ Bot", Decimal("6.00"), Decimal("0.25"), Decimal("5.75"), False),
        ("Writer", Decimal("10.00"), Decimal("0.00"), Decimal("10.00"), False),
    ]
    assert [each.sums.margin for each in found] == [Decimal("-34.0"), Decimal("95.8"), Decimal("100.0")]
    assert [(name, sums.left) for name, sums in earnings.by_customer(found)] == [
        ("Maya & Co", Decimal("-8.50")),
        ("Elena & Co", Decimal("15.75")),
    ]
    assert [(tier, sums.left) for tier, sums in earnings.by_tier(found)] == [
        ("economy", Decimal("5.75")),
        ("standard", Decimal("10.00")),
        ("premium", Decimal("-8.50")),
    ]
    # Of 17 million included nobody used Pro's 5.
    assert earnings.together(found).unused_share == Decimal("29.4")


def test_what_nobody_knows_the_price_of_is_said(elena):
    use(on_plan(elena, "economy"), 1_000_000)
    roll_up()
    [bot] = reports.earned(FEBRUARY)
    assert (bot.sums.unpriced, bot.sums.cost) == (1, Decimal("0"))


def test_the_page_flags_losses(staff, february):
    shown = staff.get(MARGINS, {"month": "2026-02"}).content.decode()
    for words in (
        "1 agent loses money",
        "▼ −$8.50",
        "−34.0 %",
        "Coder · Maya &amp; Co · Ultra",
        "bring $41.00",
        "Maya &amp; Co, 1 agent",
    ):
        assert words in shown
    assert "No agent was on a plan in this month." in staff.get(MARGINS, {"month": "2026-01"}).content.decode()
    assert staff.get(MARGINS, {"month": "nonsense"}).status_code == 200


def test_the_table_as_a_file(staff, february):
    answer = staff.get(MARGINS, {"month": "2026-02", "format": "csv"})
    assert answer["content-disposition"] == 'attachment; filename="margins-2026-02.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [(row["agent"], row["plan"], row["leaves"], row["loses"], row["unused_tokens"]) for row in rows] == [
        ("Coder", "Ultra", "-8.50", "yes", "0"),
        ("FAQ Bot", "Starter", "5.75", "no", "0"),
        ("Writer", "Pro", "10.00", "no", "5000000"),
    ]
    assert staff.get(MARGINS, {"month": "2026-02", "format": "xlsx"}).content.startswith(b"PK")


def test_a_month_as_things_are(elena, alex, staff):
    came_early(alex)
    use(on_plan(elena, "economy"), 2_500_000)
    roll_up()
    at = datetime(2026, 2, 20, tzinfo=UTC)
    now = reports.recurring(at=at)
    assert (now.hosting, now.plans, now.overage, now.total) == (
        Decimal("360.00"),
        Decimal("5.00"),
        Decimal("1.00"),
        Decimal("366.00"),
    )
    assert (now.customers, now.on_managed, now.share_on_managed) == (2, 1, Decimal("50.0"))
    with time_machine.travel(at):
        shown = staff.get(REVENUE).content.decode()
    assert "A month as things are" in shown
    assert "$366.00" in shown


@pytest.mark.parametrize(("day", "hosting"), [("2026-01-31", "180.00"), ("2026-02-01", "360.00")])
def test_who_has_left_brings_hosting_for_the_last_time_in_that_month(elena, alex, day, hosting):
    Workspace.objects.filter(pk=alex.workspace.pk).update(closed_at=f"{day}T00:00:00Z")
    assert reports.recurring(at=datetime(2026, 2, 20, tzinfo=UTC)).hosting == Decimal(hosting)


def test_it_is_for_staff_who_see_invoices(elena, february):
    assert elena.client().get(MARGINS).status_code == 302
    user = User.objects.create_user("looker@vutler.example", PASSWORD, is_staff=True)
    assert browser_of(user).get(MARGINS).status_code == 403
    user.user_permissions.set(Permission.objects.filter(codename="view_invoice"))
    assert browser_of(user).get(MARGINS, {"month": "2026-02"}).status_code == 200
