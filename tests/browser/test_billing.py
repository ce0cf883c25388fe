"""A customer finds what the next invoice will be, reads an invoice down to the requests, and says who pays."""

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from billing import services
from tests.billing.customers import CLOSED, FEBRUARY, came_early, on_plan, use
from tests.browser.conftest import axe, no_horizontal_scroll

pytestmark = pytest.mark.django_db(transaction=True)


def test_from_the_next_invoice_to_a_single_request(live, page, elena, log_in, shot):
    came_early(elena)
    bot = on_plan(elena, "economy", name="Support Bot")
    on_plan(elena, "standard", name="Content Writer", at=datetime(2026, 2, 12, tzinfo=UTC))
    for tokens in (1_200_000, 800_000, 500_000):
        record = use(bot, tokens)
    [issued] = services.close(workspace_ids=[elena.workspace.pk], month=FEBRUARY, at=CLOSED)
    log_in(page, elena)

    page.goto(f"{live.url}/billing/")
    expect(page.locator("#next-total")).to_have_text("$195.00")
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "billing")

    page.get_by_role("link", name="February 2026").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("$192.07")
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "invoice")
    with page.expect_download() as download:
        page.get_by_role("link", name="PDF").click()
    assert download.value.suggested_filename == f"{issued}.pdf"

    page.get_by_role("row", name=re.compile("500,000 tokens beyond")).get_by_role("link", name="3 requests").click()
    expect(page.get_by_text(record)).to_be_visible()
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "invoice-line")


@pytest.fixture
def hers(page, elena, log_in):
    """A page on which Elena is logged in."""
    log_in(page, elena)
    return page


def test_who_invoices_are_made_out_to(live, hers, shot, trouble):
    page = hers
    page.goto(f"{live.url}/billing/")
    page.get_by_role("link", name="Change").click()
    page.get_by_label("Company name").fill("Elena Fleurs SARL")
    page.get_by_label("Country").select_option("FR")
    page.get_by_label("VAT number").fill("FR 40 303 265 046")
    shot(page, "billing-details")
    axe(page)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("This isn't a VAT number of that country.")).to_be_visible()
    trouble.forgive("422")
    page.get_by_label("VAT number").fill("FR 40 303 265 045")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Elena Fleurs SARL")).to_be_visible()
