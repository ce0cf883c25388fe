"""The pages of payments: a payment method, and paying an invoice now."""

import pytest
from django.test import Client

from agents.models import Member, Role
from billing import services, settling
from billing.models import Invoice, Status
from billing.payments import PaymentAccount, SentInvoice
from tests.billing.customers import CLOSED
from tests.billing.paying import issued, with_card
from tests.billing.stripe_fake import DECLINED
from tests.conftest import person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_keys")]


@pytest.fixture
def unpaid(elena, gateway) -> Invoice:
    invoice = issued(elena)
    settling.settle(invoice_id=invoice.pk, at=CLOSED, gateway=gateway)
    return invoice


def said(client: Client, answer) -> str:
    """Return what the page says that an answer leads to."""
    assert answer.status_code == 302
    return str(client.get(answer.url).content.decode())


def test_she_gives_a_card_on_stripe_s_page_and_changes_it_there(elena, fake):
    browser = elena.client()
    assert "Add a payment method" in browser.get("/billing/").content.decode()
    leads_to = browser.post("/billing/payment-method/").url
    assert leads_to.startswith(f"{fake.url}/c/")
    [session] = fake.ledger.all("checkout.session")
    assert (session["mode"], session["success_url"]) == ("setup", "http://testserver/billing/payment-method/back/")
    fake.ledger.add_card(PaymentAccount.objects.get().customer_id)
    shown = said(browser, browser.get("/billing/payment-method/back/"))
    assert "Saved. From now on we charge Visa •••• 4242." in shown
    assert browser.post("/billing/payment-method/").url.startswith(f"{fake.url}/p/")


def test_she_comes_back_without_having_given_one(elena):
    browser = elena.client()
    browser.post("/billing/payment-method/")
    assert "Saved" not in said(browser, browser.get("/billing/payment-method/back/"))


def test_browsers_are_let_through_to_stripe_from_these_pages_only(elena, unpaid, fake, settings):
    def policy(path: str) -> str:
        whole = str(elena.client().get(path).headers["content-security-policy"])
        return whole.partition("form-action")[2].partition(";")[0]

    assert policy("/billing/") == policy(f"/billing/invoices/{unpaid.pk}/") == f" 'self' {fake.url}"
    assert policy("/agents/") == " 'self'"
    settings.STRIPE_API_BASE = ""
    assert policy("/billing/") == " 'self' https://checkout.stripe.com https://billing.stripe.com"


def test_she_pays_an_invoice_now(elena, unpaid, fake, gateway):
    browser = elena.client()
    page = f"/billing/invoices/{unpaid.pk}/"
    shown = browser.get(page).content.decode()
    assert f'href="{fake.url}/i/{fake.invoices()[0]["id"]}"' in shown
    with_card(elena, fake, gateway)
    assert "Pay $185.00 with Visa •••• 4242" in browser.get(page).content.decode()
    assert "Paid. Thank you." in said(browser, browser.post(f"{page}pay/"))
    assert "This invoice can’t be charged now." in said(browser, browser.post(f"{page}pay/"))
    assert len(fake.ledger.charges) == 1
    unpaid.refresh_from_db()
    assert unpaid.status == Status.PAID


def test_her_bank_says_no(elena, unpaid, fake, gateway):
    with_card(elena, fake, gateway, DECLINED)
    browser = elena.client()
    answer = browser.post(f"/billing/invoices/{unpaid.pk}/pay/")
    assert "Your bank said no." in said(browser, answer)


def test_stripe_is_away(elena, unpaid, fake, gateway, settings):
    with_card(elena, fake, gateway)
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    browser = elena.client()
    assert "We couldn’t reach our payment service." in said(
        browser, browser.post(f"/billing/invoices/{unpaid.pk}/pay/")
    )
    assert "We couldn’t reach our payment service." in said(browser, browser.post("/billing/payment-method/"))
    assert "as soon as our payment service tells us" in said(browser, browser.get("/billing/payment-method/back/"))


def test_nobody_pays_or_sees_somebody_else_s(elena, alex, unpaid, fake, gateway):
    with_card(alex, fake, gateway)
    assert alex.client().post(f"/billing/invoices/{unpaid.pk}/pay/").status_code == 404
    assert fake.ledger.charges == []


def test_who_does_not_see_to_billing_is_told_why_not(elena, unpaid):
    sam = person("Sam")
    Member.objects.filter(user=sam.user).delete()
    Member.objects.create(workspace=elena.workspace, user=sam.user, role=Role.MEMBER)
    for path in ("/billing/payment-method/", f"/billing/invoices/{unpaid.pk}/pay/"):
        assert sam.client().post(path).status_code == 403


def test_how_it_stands_is_said_in_words(elena, unpaid, fake, gateway):
    def shown() -> str:
        return str(elena.client().get("/billing/").content.decode())

    assert "Overdue since March 16, 2026." in shown()  # it's November
    SentInvoice.objects.update(processing=True)
    assert "Your bank is seeing to the payment." in shown()
    assert "Pay this invoice only" not in elena.client().get(f"/billing/invoices/{unpaid.pk}/").content.decode()
    SentInvoice.objects.update(processing=False, failed_at=CLOSED, next_attempt_at=CLOSED, automatic=True)
    assert "The payment failed. It is tried again on March 2, 2026." in shown()
    services.mark_paid(invoice=unpaid, at=CLOSED, by="Finance")
    assert "The payment failed." not in shown()


def test_without_keys_there_is_nothing_of_this(elena, settings):
    settings.STRIPE_SECRET_KEY = ""
    shown = elena.client().get("/billing/").content.decode()
    assert "payment method" not in shown
    assert elena.client().post("/billing/payment-method/").url == "/billing/"
