"""The staff's pages of payments: what things are called at Stripe, and what is wrong with them."""

import pytest
from django.urls import reverse

from billing import settling
from billing.payments import SentInvoice
from tests.billing.customers import CLOSED
from tests.billing.paying import issued, with_card
from tests.billing.test_admin import said

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_keys")]

PAYMENTS = reverse("admin:billing_sentinvoice_changelist")


@pytest.fixture
def sent(elena, fake, gateway) -> SentInvoice:
    invoice = issued(elena)
    settling.settle(invoice_id=invoice.pk, at=CLOSED, gateway=gateway)
    return SentInvoice.objects.get()


def page(browser, path: str) -> str:
    return str(browser.get(path).content.decode())


def test_an_invoice_leads_to_stripe_s_dashboard(staff, sent):
    link = f"https://dashboard.stripe.com/test/invoices/{sent.stripe_id}"
    assert link in page(staff, reverse("admin:billing_invoice_change", args=[sent.pk]))
    assert link in page(staff, reverse("admin:billing_sentinvoice_change", args=[sent.pk]))
    account = settling.account_of(sent.invoice.workspace)
    assert f"https://dashboard.stripe.com/test/customers/{account.customer_id}" in page(
        staff, reverse("admin:billing_paymentaccount_changelist")
    )


def test_in_earnest_the_link_is_not_into_test_mode(staff, sent, settings):
    settings.STRIPE_SECRET_KEY = "sk_live_fake"
    assert "dashboard.stripe.com/invoices/" in page(staff, reverse("admin:billing_sentinvoice_change", args=[sent.pk]))


def test_what_is_wrong_is_found_and_settled(staff, sent, fake):
    assert "INV-2026-000001" not in page(staff, f"{PAYMENTS}?problem=yes")
    fake.ledger.pay(sent.stripe_id, {"payment_method": fake.ledger.add_card(fake.invoices()[0]["customer"])["id"]})
    SentInvoice.objects.update(problem="APIConnectionError")
    assert "APIConnectionError" in page(staff, f"{PAYMENTS}?problem=yes")
    answer = staff.post(PAYMENTS, {"action": "settle", "_selected_action": [sent.pk]}, follow=True)
    assert said(answer) == ["Done: 1."]
    sent.refresh_from_db()
    assert (sent.state, sent.problem) == ("paid", "")


def test_who_only_looks_settles_nothing(onlooker, sent, fake):
    calls = len(fake.calls)
    onlooker.post(PAYMENTS, {"action": "settle", "_selected_action": [sent.pk]}, follow=True)
    assert len(fake.calls) == calls


def test_events_and_customers_are_listed(staff, elena, fake, gateway):
    with_card(elena, fake, gateway)
    assert "Visa •••• 4242" in page(staff, reverse("admin:billing_paymentaccount_changelist"))
    assert staff.get(reverse("admin:billing_stripeevent_changelist")).status_code == 200
