"""Elena sees what her months would have cost on other plans, and what it would take to change."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from tests.billing.customers import came_early, on_plan, use
from tests.browser.conftest import axe, no_horizontal_scroll

pytestmark = pytest.mark.django_db(transaction=True)


def day(month: int) -> datetime:
    return datetime(2026, month, 10, 9, tzinfo=UTC)


@pytest.fixture
def hers(page, elena, log_in, time_machine):
    """A page on which Elena is logged in, on 12 May."""
    time_machine.move_to(datetime(2026, 5, 12, tzinfo=UTC))
    log_in(page, elena)
    return page


def test_from_the_bill_to_what_another_plan_would_take(live, hers, elena, shot):
    page = hers
    came_early(elena)
    helpdesk = on_plan(elena, "economy", name="Helpdesk")
    for month, tokens in ((2, 1_500_000), (3, 6_000_000), (4, 2_500_000)):
        use(helpdesk, tokens, at=day(month))
    coder = on_plan(elena, "standard", name="Newsletter and blog writer", at=day(3))
    use(coder, 9_500_000, at=day(4))

    page.goto(f"{live.url}/billing/")
    page.get_by_role("link", name="What would other plans have cost?").click()
    expect(page.get_by_text("that is no reason to leave the quality you chose")).to_be_visible()
    starter = page.get_by_role("table", name="What the months of Helpdesk would have cost").get_by_role("row")
    expect(starter.filter(has_text="This plan")).to_contain_text("$24.00")
    expect(starter.filter(has_text="Pro")).to_contain_text("$9.00 more")
    expect(page.get_by_text("$7.05 less, at a lower quality")).to_be_visible()
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "what-if")
    page.emulate_media(color_scheme="dark")
    page.evaluate("Promise.all(document.getAnimations().map(each => each.finished)).then(() => null)")
    axe(page)
    shot(page, "what-if-dark")

    page.get_by_role("link", name="Preview Helpdesk, Pro").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pro for Helpdesk")
    page.get_by_role("link", name="Back").click()
    page.get_by_role("link", name="What would the last months have cost?").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("Helpdesk")
    no_horizontal_scroll(page)
