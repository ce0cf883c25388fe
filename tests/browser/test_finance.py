"""Finance closes a month, reads what it comes to, takes it home, and writes a credit note; others can't."""

import re

import pytest
import time_machine
from django.contrib.auth.models import Group, Permission
from playwright.sync_api import Page, expect

from agents.models import User
from billing.models import CreditNote
from metering import rollups
from tests.billing.customers import CLOSED, came_early, on_plan, use
from tests.browser.conftest import DESKTOP, axe, no_horizontal_scroll
from tests.conftest import PASSWORD, Person

pytestmark = pytest.mark.django_db(transaction=True)


CONTENT = "#main"  # the rest of the page is unfold's


@pytest.fixture
def march_2():
    """The moment from which February can be closed. Sessions last that long, too."""
    with time_machine.travel(CLOSED):
        yield


@pytest.fixture
def february(elena, march_2):
    """A month that is over: an agent of Elena's, beyond its plan."""
    came_early(elena)
    use(on_plan(elena, "economy", name="Support Bot"), 2_500_000)
    rollups.roll_up()


def staff(name: str, elena: Person) -> Person:
    user = User.objects.create_user(f"{name}@vutler.example", PASSWORD, is_staff=True)
    return Person(user=user, workspace=elena.workspace)


@pytest.fixture
def finance(desktop: Page, elena, log_in) -> Page:
    """A page on which somebody of the group Finance is logged in."""
    person = staff("finance", elena)
    person.user.groups.add(Group.objects.get(name="Finance"))
    log_in(desktop, person)
    return desktop


def test_a_month_from_its_close_to_a_credit_note(live, february, finance, shot):
    page = finance
    page.goto(f"{live.url}/admin/billing/invoice/")
    page.get_by_role("link", name="Close of a month").click()
    expect(page.get_by_text("One thing is to be looked at.")).to_be_visible()
    page.get_by_role("button", name="Close this month").click()
    expect(page.get_by_text("Everything agrees.")).to_be_visible()
    axe(page, within=CONTENT)
    shot(page, "staff-close")
    page.set_viewport_size({"width": 390, "height": 844})
    no_horizontal_scroll(page)
    shot(page, "staff-close")
    page.set_viewport_size(DESKTOP)
    with page.expect_download() as download:
        page.get_by_role("link", name="XLSX").click()
    assert download.value.suggested_filename == "close-2026-02.xlsx"

    page.get_by_text("Open", exact=True).click()
    page.get_by_role("link", name=re.compile("INV-2026-000001")).click()
    page.get_by_role("link", name="INV-2026-000001").click()
    page.get_by_role("link", name="Correct").click()
    page.get_by_label("Reason").fill("Outage on the 14th")
    page.get_by_label("Support Bot: 500,000 tokens beyond the plan").fill("1.00")
    axe(page, within=CONTENT)
    shot(page, "staff-correct")
    page.get_by_role("button", name="Do it").click()
    expect(page.get_by_text("CN-2026-000001 over $1.00 is written.")).to_be_visible()
    assert CreditNote.objects.get().reason == "Outage on the 14th"

    page.goto(f"{live.url}/admin/billing/invoice/close/?month=2026-02")
    expect(page.get_by_role("row").filter(has_text="Credited")).to_contain_text("−$1.00")


@pytest.fixture
def onlooker(desktop: Page, elena, log_in) -> Page:
    """A page on which staff are logged in who may see everything, and do nothing."""
    person = staff("looker", elena)
    person.user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    log_in(desktop, person)
    return desktop


def test_who_may_only_look_does_not_close(live, february, onlooker, trouble):
    page = onlooker
    page.goto(f"{live.url}/admin/billing/invoice/")
    expect(page.get_by_role("link", name="Credit notes")).to_be_visible()
    expect(page.get_by_role("link", name="Close of a month")).to_have_count(0)
    answer = page.goto(f"{live.url}/admin/billing/invoice/close/")
    assert answer
    assert answer.status == 403
    trouble.forgive("403")
