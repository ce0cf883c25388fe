"""Elena gives a card, sees what the next invoice will be, pays an open one, and downloads it."""

import pytest
from playwright.sync_api import expect

from tests.billing.paying import issued
from tests.billing.stripe_fake import DECLINED, GOOD
from tests.browser.conftest import axe, no_horizontal_scroll

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("stripe_keys")]


@pytest.fixture
def hers(page, elena, log_in):
    """A page on which Elena is logged in, with an invoice to pay."""
    issued(elena)
    log_in(page, elena)
    return page


def test_from_the_first_card_to_the_paid_invoice(live, hers, fake, shot):
    page = hers
    page.goto(f"{live.url}/billing/")
    expect(page.locator("#next-total")).to_have_text("$185.00")
    expect(page.get_by_text("An invoice isn’t paid yet.")).to_be_visible()
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "payment-none")

    page.get_by_role("button", name="Add a payment method").click()
    page.get_by_label("Card number").fill(DECLINED)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. From now on we charge Visa •••• 0341.")).to_be_visible()
    axe(page)
    shot(page, "payment-saved")

    page.get_by_role("link", name="February 2026").click()
    page.get_by_role("button", name="Pay $185.00 with Visa •••• 0341").click()
    expect(page.get_by_text("Your bank said no.")).to_be_visible()
    no_horizontal_scroll(page)
    axe(page)
    shot(page, "payment-refused")

    page.get_by_role("link", name="Billing").last.click()
    page.get_by_role("button", name="Change payment method").click()
    page.get_by_label("Card number").fill(GOOD)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#payment-method")).to_have_text("Visa •••• 4242")
    page.get_by_role("link", name="February 2026").click()
    page.get_by_role("button", name="Pay $185.00 with Visa •••• 4242").click()
    expect(page.get_by_text("Paid. Thank you.")).to_be_visible()
    expect(page.get_by_text("An invoice isn’t paid yet.")).to_be_hidden()
    axe(page)
    shot(page, "payment-paid")
    with page.expect_download() as download:
        page.get_by_role("link", name="PDF").click()
    assert download.value.suggested_filename == "INV-2026-000001.pdf"
    assert [cents for _invoice, cents in fake.ledger.charges] == [18_500]
