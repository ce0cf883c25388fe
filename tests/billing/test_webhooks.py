"""What Stripe tells us: signed, once, in any order, and believed in nothing but what to look at."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from agents.models import AuditEntry
from billing import hearing, services, settling, tasks
from billing.models import Invoice, Status
from billing.payments import PaymentAccount, StripeEvent
from tests.billing.customers import CLOSED
from tests.billing.paying import issued, with_card
from tests.billing.stripe_fake import Fake

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_keys")]

ADDRESS = "/billing/stripe/webhook/"


@pytest.fixture
def open_invoice(elena, gateway) -> Invoice:
    """Elena's February, sent with a link to pay."""
    invoice = issued(elena)
    settling.settle(invoice_id=invoice.pk, at=CLOSED, gateway=gateway)
    return Invoice.objects.select_related("sent").get(pk=invoice.pk)


def told(event, *, ago: int = 0, **named) -> int:
    """Deliver an event that was signed so many seconds ago; return the answer's status."""
    body, signature = Fake.signed(event, at=int(timezone.now().timestamp()) - ago, **named)
    return deliver(body, signature)


def deliver(body: bytes, signature: str) -> int:
    # A browser has a CSRF token, Stripe doesn't.
    client = Client(enforce_csrf_checks=True)
    answer = client.post(ADDRESS, body, content_type="application/json", headers={"stripe-signature": signature})
    return answer.status_code


def pays_there(invoice, fake) -> None:
    fake.ledger.pay(invoice.sent.stripe_id, {"payment_method": fake.ledger.add_card(customer(fake))["id"]})


def customer(fake) -> str:
    return str(fake.ledger.all("customer")[-1]["id"])


def test_she_pays_on_stripe_s_page(open_invoice, fake):
    pays_there(open_invoice, fake)
    assert fake.events[-1]["type"] == "invoice.paid"
    assert told(fake.events[-1]) == 204
    open_invoice.refresh_from_db()
    assert open_invoice.status == Status.PAID


def test_told_twice_backwards_and_late(open_invoice, fake):
    pays_there(open_invoice, fake)
    events = list(fake.events)
    for event in [*reversed(events), *events]:
        assert told(event) == 204
    open_invoice.refresh_from_db()
    assert (open_invoice.status, len(fake.ledger.charges)) == (Status.PAID, 1)
    assert StripeEvent.objects.count() == len(events)
    assert hearing.waiting() == []


@pytest.mark.django_db(transaction=True)
def test_told_four_times_at_once(open_invoice, fake):
    pays_there(open_invoice, fake)
    together, answers = threading.Barrier(4), list[int]()

    def tell() -> None:
        together.wait()
        answers.append(told(fake.events[-1]))
        connection.close()

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    tasks.hear_waiting()
    open_invoice.refresh_from_db()
    assert (answers, open_invoice.status) == ([204] * 4, Status.PAID)
    assert StripeEvent.objects.count() == 1
    assert AuditEntry.objects.filter(action="invoice.paid").count() == 1


@pytest.mark.parametrize(
    ("ago", "secret", "status"), [(0, "whsec_fake", 204), (360, "whsec_fake", 400), (0, "whsec_guessed", 400)]
)
def test_forged_or_replayed_after_six_minutes(open_invoice, fake, ago, secret, status):
    calls = len(fake.calls)
    assert told(fake.events[-1], ago=ago, secret=secret) == status
    if status == 400:
        assert (StripeEvent.objects.count(), len(fake.calls)) == (0, calls)


def test_a_body_that_was_changed_on_the_way(open_invoice, fake):
    body, signature = Fake.signed(fake.events[-1], at=int(timezone.now().timestamp()))
    assert deliver(body.replace(b"invoice", b"invoicf"), signature) == 400
    assert deliver(body, "") == 400
    assert deliver(b"\xff", signature) == 400


def test_an_event_is_not_believed(open_invoice, fake):
    """Somebody with an account at Stripe writes what they like into their metadata, and amounts may be old."""
    lie = {"id": open_invoice.sent.stripe_id, "object": "invoice", "status": "paid", "customer": "cus_999"}
    assert told({"id": "evt_lie", "type": "invoice.paid", "data": {"object": lie}}) == 204
    open_invoice.refresh_from_db()
    assert open_invoice.status == Status.FINALIZED


def test_someone_else_s_invoice_in_the_metadata(open_invoice, alex, fake):
    """Alex's own invoice at Stripe, paid, says that it is Elena's."""
    theirs = fake.ledger.create_customer({})["id"]
    row = fake.ledger.create_invoice(
        {"customer": theirs, "currency": "usd", "metadata": {"invoice": str(open_invoice.pk)}}
    )
    fake.ledger.finalize(row["id"], {})
    assert row["status"] == "paid"
    assert told(fake.events[-1]) == 204
    open_invoice.refresh_from_db()
    assert open_invoice.status == Status.FINALIZED


def test_what_is_not_ours_and_what_is_no_event(open_invoice):
    about = {"id": "in_404", "object": "invoice", "customer": None}
    assert told({"id": "evt_1", "type": "invoice.paid", "data": {"object": about}}) == 204
    wrong: list[Any] = [{}, [], {"id": "evt_2"}, {"id": "evt_2", "type": "x", "data": {"object": None}}]
    assert [told(each) for each in wrong] == [400] * 4
    assert Client().get(ADDRESS).status_code == 405


def test_without_a_secret_there_is_no_such_address(settings):
    settings.STRIPE_WEBHOOK_SECRET = ""
    assert told({"id": "evt_1"}) == 404


def test_a_card_that_was_saved_on_stripe_s_page(elena, fake, gateway):
    account = settling.registered(elena.workspace, gateway)
    fake.ledger.add_card(account.customer_id)
    assert told(fake.events[-1]) == 204
    account.refresh_from_db()
    assert account.method == "Visa •••• 4242"
    fake.ledger.drop_card(account.method_id)
    assert told(fake.events[-1] | {"type": "customer.updated"}) == 204
    fake.ledger.update_customer(account.customer_id, {})
    assert told(fake.events[-1]) == 204
    assert PaymentAccount.objects.get().method == ""


def test_an_event_that_comes_while_stripe_is_away_waits(open_invoice, fake):
    pays_there(open_invoice, fake)
    for _attempt in range(3):  # the SDK tries again by itself
        fake.cut_before("GET /v1/invoices/{}")
    assert told(fake.events[-1]) == 204
    assert Invoice.objects.get(pk=open_invoice.pk).sent.problem == "APIConnectionError"
    tasks.settle_invoices()
    open_invoice.refresh_from_db()
    assert open_invoice.status == Status.PAID


def test_an_event_that_comes_while_somebody_is_at_it_waits(open_invoice, fake):
    pays_there(open_invoice, fake)
    with settling._held(open_invoice.pk, at=timezone.now()):
        assert told(fake.events[-1]) == 204
    assert hearing.waiting() == [fake.events[-1]["id"]]
    assert tasks.hear_waiting() == 1
    open_invoice.refresh_from_db()
    assert (open_invoice.status, hearing.waiting()) == (Status.PAID, [])


def test_nobody_told_us_and_we_look(open_invoice, fake):
    pays_there(open_invoice, fake)
    assert tasks.settle_invoices() == 1
    open_invoice.refresh_from_db()
    assert open_invoice.status == Status.PAID
    assert tasks.settle_invoices() == 0


def test_a_customer_who_was_deleted_there_and_one_that_is_gone(elena, fake, gateway):
    account = with_card(elena, fake, gateway)
    fake.ledger.happened("customer.deleted", fake.ledger.rows[account.customer_id])
    fake.ledger.rows[account.customer_id] = {"id": account.customer_id, "object": "customer", "deleted": True}
    assert told(fake.events[-1]) == 204
    account.refresh_from_db()
    assert account.method == ""
    del fake.ledger.rows[account.customer_id]
    assert told(fake.events[-1] | {"id": "evt_later"}) == 204
    assert hearing.waiting() == []


def test_one_invoice_that_breaks_the_job_keeps_no_other_waiting(open_invoice, alex, fake, monkeypatch):
    other, settle = issued(alex), settling.settle

    def breaks(*, invoice_id, **named):
        if invoice_id == other.pk:
            raise ZeroDivisionError
        return settle(invoice_id=invoice_id, **named)

    monkeypatch.setattr(settling, "settle", breaks)
    pays_there(open_invoice, fake)
    assert tasks.settle_invoices() == 2
    open_invoice.refresh_from_db()
    assert open_invoice.status == Status.PAID


def test_events_are_forgotten_once_stripe_cannot_tell_them_again(open_invoice, fake):
    told(fake.events[-1])
    tasks.hear_waiting()
    assert StripeEvent.objects.count() == 1
    hearing.forget(at=timezone.now() + timedelta(days=91))
    assert StripeEvent.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_what_finance_does_reaches_stripe_by_itself(open_invoice, fake):
    services.void(invoice=open_invoice, at=timezone.now(), by="Finance", reason="Mistake")
    assert fake.invoices()[0]["status"] == "void"


@pytest.mark.django_db(transaction=True)
def test_an_invoice_that_is_issued_is_charged_by_itself(alex, fake, gateway):
    with_card(alex, fake, gateway)
    invoice = issued(alex)
    invoice.refresh_from_db()
    assert invoice.status == Status.PAID
    assert [cents for _invoice, cents in fake.ledger.charges] == [18_500]
