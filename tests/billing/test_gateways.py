"""What takes payments: with Stripe's keys and without, an invoice stands there as it does here."""

from decimal import Decimal

import pytest

from billing import gateways, services, settling
from billing.gateways.base import Away, Gateway, Refused, State
from billing.gateways.local import Local
from billing.gateways.stripe import Stripe
from billing.models import Invoice
from billing.payments import PaymentAccount
from tests.billing.customers import CLOSED
from tests.billing.paying import issued
from tests.billing.stripe_fake.parameters import unknown
from tests.billing.stripe_fake.routes import CALLS

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["local", "stripe"])
def taker(request) -> Gateway:
    return Local() if request.param == "local" else request.getfixturevalue("gateway")


def standing(invoice: Invoice, taker: Gateway) -> tuple[State, Decimal, Decimal]:
    """Return how an invoice stands there once it's settled, and nothing was wrong with it."""
    assert settling.settle(invoice_id=invoice.pk, at=CLOSED, gateway=taker)
    assert settling.settle(invoice_id=invoice.pk, at=CLOSED, gateway=taker)
    invoice = Invoice.objects.select_related("sent").get(pk=invoice.pk)
    found = taker.look(invoice.sent.stripe_id or "")
    assert found.due == invoice.due
    return found.state, found.total, found.due


def test_open_credited_in_part_and_in_whole(taker, elena):
    invoice = issued(elena, tax_ppm=200_000)
    assert standing(invoice, taker) == (State.OPEN, Decimal("222.00"), Decimal("222.00"))
    line = invoice.lines.get(kind="plan")
    services.credit(invoice=invoice, reason="Outage", at=CLOSED, by="Finance", amounts={line.pk: Decimal("0.33")})
    assert standing(invoice, taker) == (State.OPEN, Decimal("222.00"), Decimal("221.60"))
    services.credit(invoice=invoice, reason="Goodwill", at=CLOSED, by="Finance")
    assert standing(invoice, taker) == (State.PAID, Decimal("222.00"), Decimal("0.00"))


def test_paid_by_hand(taker, elena):
    invoice = issued(elena)
    standing(invoice, taker)
    services.mark_paid(invoice=invoice, at=CLOSED, by="Finance")
    assert standing(invoice, taker)[0] == State.PAID


def test_given_up_and_paid_after_all(taker, elena):
    invoice = issued(elena)
    standing(invoice, taker)
    services.mark_uncollectible(invoice=invoice, at=CLOSED, by="Finance", reason="Gone")
    assert standing(invoice, taker)[0] == State.UNCOLLECTIBLE
    services.mark_paid(invoice=invoice, at=CLOSED, by="Finance")
    assert standing(invoice, taker)[0] == State.PAID


def test_taken_back(taker, elena):
    invoice = issued(elena)
    standing(invoice, taker)
    services.void(invoice=invoice, at=CLOSED, by="Finance", reason="Mistake")
    assert standing(invoice, taker)[0] == State.VOID


def test_nobody_pays_without_a_method(taker, elena):
    invoice = issued(elena)
    standing(invoice, taker)
    account = settling.registered(elena.workspace, taker)
    assert taker.method(account.customer_id) is None
    assert settling.pay(invoice_id=invoice.pk, at=CLOSED, gateway=taker) is None


def test_a_workspace_is_one_customer(taker, elena):
    first = settling.registered(elena.workspace, taker).customer_id
    PaymentAccount.objects.update(customer_id=None)  # we were cut before we had stored it
    assert settling.registered(elena.workspace, taker).customer_id == first


def test_the_settings_say_which(settings, fake):
    assert isinstance(gateways.gateway(), Local)
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = "sk_test_fake", fake.url
    assert isinstance(gateways.gateway(), Stripe)


def test_the_last_card_is_what_she_pays_with_until_she_chooses(elena, fake, gateway):
    account = settling.registered(elena.workspace, gateway)
    first = fake.ledger.add_card(account.customer_id)
    assert settling.refresh_method(elena.workspace, gateway=gateway).method == "Visa •••• 4242"
    second = fake.ledger.add_card(account.customer_id, "5555555555554444")
    assert settling.refresh_method(elena.workspace, gateway=gateway).method_id == first["id"]
    fake.ledger.drop_card(first["id"])
    assert settling.refresh_method(elena.workspace, gateway=gateway).method_id == second["id"]
    fake.ledger.drop_card(second["id"])
    assert settling.refresh_method(elena.workspace, gateway=gateway).method == ""


# --- What the fake is held to -------------------------------------------------------------------


def test_every_parameter_that_we_send_is_one_of_the_sdk_s(gateway):
    with pytest.raises(Exception, match="unknown parameter: colour"):
        gateway._stripe.invoices.create({"customer": "cus_1", "colour": "red"})
    with pytest.raises(Exception, match=r"unknown parameter: lines\[amonut\]"):
        gateway._stripe.invoices.add_lines("in_1", {"lines": [{"amonut": 5}]})
    # Each type that a call is checked against is there in the SDK.
    assert all(unknown({"no_such_name": "1"}, kind) == "no_such_name" for kind, _do in CALLS.values())


def test_a_wrong_key_and_a_server_that_is_away(fake):
    with pytest.raises(Refused, match="AuthenticationError: 401"):
        Stripe("sk_test_other", base=fake.url, retries=0).look("in_1")
    with pytest.raises(Away) as caught:
        Stripe("sk_test_fake", base="http://127.0.0.1:9", retries=0).look("in_1")
    assert "sk_test" not in f"{caught.value}{caught.value!r}"


def test_two_hundred_and_fifty_lines_and_no_more(elena, fake, gateway):
    customer = settling.registered(elena.workspace, gateway).customer_id
    row = fake.ledger.create_invoice({"customer": customer, "currency": "usd"})
    line = {"amount": "1", "description": "x", "period": {"start": "1", "end": "1"}}
    fake.ledger.add_lines(row["id"], [line] * 250)
    with pytest.raises(Exception, match="invoice_too_many_items"):
        fake.ledger.add_lines(row["id"], [line])
