"""Elena ends her workspace, knowing what that means."""

import pytest
from playwright.sync_api import Page, expect

from tests.billing.customers import on_plan
from tests.browser.conftest import axe, no_horizontal_scroll

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hers(page: Page, elena, log_in) -> Page:
    """A page on which Elena is logged in, with an agent on a plan."""
    on_plan(elena, "economy")
    log_in(page, elena)
    return page


def test_a_workspace_is_deleted_by_who_types_its_name(live, hers: Page, shot, trouble):
    page = hers
    page.goto(f"{live.url}/settings/data/")
    page.get_by_role("link", name="Delete the workspace").click()
    expect(page.get_by_text("Plans end with this month")).to_be_visible()
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "delete-workspace")
    page.get_by_label("Type “Elena & Co” to confirm").fill("Elena")
    page.get_by_role("button", name="Delete the workspace").click()
    expect(page.get_by_text("This isn't the name of the workspace.")).to_be_visible()
    axe(page)
    trouble.forgive("422")
    page.get_by_label("Type “Elena & Co” to confirm").fill("Elena & Co")
    page.get_by_role("button", name="Delete the workspace").click()
    expect(page.get_by_text("Elena & Co was deleted.")).to_be_visible()
    expect(page).to_have_url(f"{live.url}/workspaces/new/")
