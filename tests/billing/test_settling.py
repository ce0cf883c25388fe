"""An invoice and Stripe brought together, whatever goes wrong on the way: one invoice there, one charge."""

import itertools
import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from agents.models import Agent, PlanStay
from billing import owing, services, settling
from billing.gateways import orders
from billing.gateways.base import Away, Declined, Refused
from billing.gateways.stripe import Stripe
from billing.models import Status
from billing.payments import SentInvoice
from tests.billing.customers import CLOSED, FEBRUARY, FIRST, came_early
from tests.billing.paying import issued, with_card
from tests.billing.stripe_fake import DECLINED, SLOW

pytestmark = pytest.mark.django_db

SOON = CLOSED + timedelta(minutes=10)
TWO_DAYS = CLOSED + timedelta(days=2)


def settle(invoice, gateway, *, at=CLOSED) -> SentInvoice:
    settling.settle(invoice_id=invoice.pk, at=at, gateway=gateway)
    invoice.refresh_from_db()
    return SentInvoice.objects.get(pk=invoice.pk)


def test_elena_s_card_is_charged_for_exactly_what_her_invoice_says(elena, fake, gateway):
    invoice = issued(elena, tax_ppm=200_000)
    with_card(elena, fake, gateway)
    sent = settle(invoice, gateway)
    [there] = fake.invoices()
    assert (sent.stripe_id, sent.state, sent.paid) == (there["id"], "paid", Decimal("222.00"))
    assert (there["number"], there["metadata"]) == (invoice.number, {"invoice": str(invoice.pk)})
    assert [(line["description"], line["amount"]) for line in there["lines"]] == [
        ("Hosting, Cloud, February 2026", 18_000),
        ("FAQ Bot: Starter, February 2026", 500),
        ("Tax 20%", 3_700),
    ]
    # From the first second of February to its last, which is in it.
    assert {tuple(line["period"].values()) for line in there["lines"]} == {(1769904000, 1772323199)}
    assert fake.ledger.charges == [(there["id"], 22_200)]
    assert (invoice.status, invoice.paid_at) == (Status.PAID, CLOSED)


def test_a_french_invoice_is_french_at_stripe_too(elena, fake, gateway):
    settle(issued(elena, tax_ppm=88_750, language="fr"), gateway)
    [there] = fake.invoices()
    assert there["lines"][-1]["description"] == "TVA 8,875\u00a0%"


def test_without_a_card_it_is_sent_with_a_link(elena, fake, gateway):
    sent = settle(issued(elena), gateway)
    [there] = fake.invoices()
    assert (there["status"], there["collection_method"], there["auto_advance"]) == ("open", "send_invoice", False)
    assert fake.ledger.mails == [there["id"]]
    assert sent.url == f"{fake.url}/i/{there['id']}"


CALLS = [
    "GET /v1/customers/search",
    "POST /v1/customers",
    "POST /v1/customers/{}",
    "GET /v1/invoices",
    "POST /v1/invoices",
    "GET /v1/invoices/{}/lines",
    "POST /v1/invoices/{}/add_lines",
    "POST /v1/invoices/{}/finalize",
    "GET /v1/invoices/{}",
    "POST /v1/invoices/{}/pay",
]


@pytest.mark.parametrize(
    ("call", "later"),
    [(call, SOON) for call in CALLS] + [(call, TWO_DAYS) for call in CALLS if call.startswith("POST")],
)
def test_an_answer_that_got_lost_leads_to_no_second_invoice_and_no_second_charge(elena, fake, gateway, call, later):
    """After two days Stripe has forgotten our idempotency keys."""
    invoice = issued(elena)
    if "customers" not in call:
        with_card(elena, fake, gateway)
    fake.cut_after(call)
    sent = settle(invoice, gateway)
    assert sent.problem
    fake.ledger.now += later - CLOSED
    with_card(elena, fake, gateway)
    SentInvoice.objects.filter(attempts=0).update(automatic=True)  # where it had no card yet
    sent = settle(invoice, gateway, at=later)
    assert (sent.problem, invoice.status) == ("", Status.PAID)
    assert [each["total"] for each in fake.invoices()] == [18_500]
    assert fake.ledger.charges == [(sent.stripe_id, 18_500)]
    assert len(fake.ledger.all("customer")) == 1


class Killed(BaseException):
    """As SIGKILL: nobody catches it."""


@pytest.mark.parametrize("call", ["register", "draft", "fill", "issue", "charge", "look"])
def test_killed_after_any_step_it_goes_on_from_there(elena, fake, gateway, call, monkeypatch):
    invoice = issued(elena)
    if call != "register":
        with_card(elena, fake, gateway)
    do = getattr(Stripe, call)

    def kill(*arguments, **named):
        do(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Stripe, call, kill)
        with pytest.raises(Killed):
            settle(invoice, gateway)
    fake.advance(hours=30)
    settle(invoice, gateway, at=TWO_DAYS)
    assert len(fake.invoices()) == len(fake.ledger.all("customer")) == 1
    assert len(fake.ledger.charges) == (0 if call == "register" else 1)


def test_nothing_is_finalized_that_does_not_come_to_the_same(elena, fake, gateway, monkeypatch):
    invoice = issued(elena)
    items = orders._items
    monkeypatch.setattr(orders, "_items", lambda given: items(given)[:-1])
    sent = settle(invoice, gateway)
    assert sent.problem == "comes to $180.00 there, and to $185.00 here: not finalized"
    assert fake.invoices()[0]["status"] == "draft"
    assert invoice.status == Status.FINALIZED


def test_what_is_in_someone_s_hands_is_left_to_them(elena, fake, gateway):
    invoice = issued(elena)
    with settling._held(invoice.pk, at=CLOSED), pytest.raises(settling.Busy):
        settling.settle(invoice_id=invoice.pk, at=SOON - timedelta(minutes=6), gateway=gateway)
    assert fake.calls == []
    # Whoever died with it in their hands doesn't keep it.
    SentInvoice.objects.filter(pk=invoice.pk).update(held_until=CLOSED + settling.HELD_FOR)
    assert settling.settle(invoice_id=invoice.pk, at=SOON, gateway=gateway)


def test_less_than_stripe_charges_is_credited(elena, fake, gateway):
    invoice = issued(elena)
    hosting = invoice.lines.get(kind="hosting")
    plan = invoice.lines.get(kind="plan")
    amounts = {hosting.pk: Decimal("180.00"), plan.pk: Decimal("4.51")}
    services.credit(invoice=invoice, reason="Outage", at=CLOSED, by="Finance", amounts=amounts)
    settle(invoice, gateway)
    assert (invoice.status, invoice.credited) == (Status.PAID, Decimal("185.00"))
    assert invoice.credit_notes.get(number="CN-2026-000002").reason == "Too little to be charged."
    assert fake.invoices() == []


# --- Corrections --------------------------------------------------------------------------------


def credited(invoice, amount: str) -> None:
    hosting = invoice.lines.get(kind="hosting")
    services.credit(invoice=invoice, reason="Outage", at=CLOSED, by="Finance", amounts={hosting.pk: Decimal(amount)})


def test_a_credit_note_lowers_what_is_due_there(elena, fake, gateway):
    invoice = issued(elena)
    settle(invoice, gateway)
    credited(invoice, "80.00")
    sent = settle(invoice, gateway)
    assert (sent.due, invoice.due, sent.problem) == (Decimal("105.00"), Decimal("105.00"), "")
    assert settle(invoice, gateway).due == Decimal("105.00")
    [note] = fake.ledger.all("credit_note")
    assert note["memo"] == "CN-2026-000001: Outage"


def test_what_was_credited_before_is_not_charged(elena, fake, gateway):
    invoice = issued(elena)
    with_card(elena, fake, gateway)
    credited(invoice, "80.00")
    sent = settle(invoice, gateway)
    assert fake.ledger.charges == [(sent.stripe_id, 10_500)]
    assert (invoice.status, sent.total, sent.paid) == (Status.PAID, Decimal("185.00"), Decimal("105.00"))


@pytest.mark.parametrize("later", [SOON, TWO_DAYS], ids=["soon", "after-two-days"])
def test_a_credit_note_on_a_paid_invoice_gives_the_money_back_once(elena, fake, gateway, later):
    invoice = issued(elena)
    with_card(elena, fake, gateway)
    settle(invoice, gateway)
    credited(invoice, "80.00")
    fake.cut_after("POST /v1/credit_notes")
    assert settle(invoice, gateway).problem
    fake.ledger.now += later - CLOSED
    assert settle(invoice, gateway, at=later).problem == ""
    assert [cents for _invoice, cents in fake.ledger.refunds] == [8_000]


def test_paid_by_hand_is_not_charged_and_nothing_is_refunded_there(elena, fake, gateway):
    invoice = issued(elena)
    settle(invoice, gateway)
    services.mark_paid(invoice=invoice, at=CLOSED, by="Finance")
    sent = settle(invoice, gateway)
    assert (sent.state, sent.paid, fake.ledger.charges) == ("paid", Decimal("0.00"), [])
    credited(invoice, "80.00")
    settle(invoice, gateway)
    assert (len(fake.ledger.all("credit_note")), fake.ledger.refunds) == (1, [])


def test_taken_back_here_is_taken_back_there(elena, alex, fake, gateway):
    hers, his = issued(elena), issued(alex)
    settle(hers, gateway)
    settle(his, gateway)
    services.void(invoice=hers, at=CLOSED, by="Finance", reason="Mistake")
    services.mark_uncollectible(invoice=his, at=CLOSED, by="Finance", reason="Gone")
    assert (settle(hers, gateway).state, settle(his, gateway).state) == ("void", "uncollectible")


def test_taken_back_while_it_was_a_draft_there(elena, fake, gateway):
    invoice = issued(elena)
    fake.cut_after("POST /v1/invoices/{}/add_lines")
    settle(invoice, gateway)
    services.void(invoice=invoice, at=CLOSED, by="Finance", reason="Mistake")
    sent = settle(invoice, gateway)
    assert (fake.invoices(), sent.stripe_id, sent.problem) == ([], None, "")
    assert settling.unsettled(at=TWO_DAYS, look_again=timedelta(hours=1)) == []


def test_taken_back_there_is_taken_back_here(elena, fake, gateway):
    invoice = issued(elena)
    sent = settle(invoice, gateway)
    fake.ledger.void(sent.stripe_id)
    settle(invoice, gateway)
    assert invoice.status == Status.VOID


def test_paid_there_after_it_was_taken_back_here_is_told(elena, fake, gateway):
    invoice = issued(elena)
    sent = settle(invoice, gateway)
    services.void(invoice=invoice, at=CLOSED, by="Finance", reason="Mistake")
    fake.ledger.pay(sent.stripe_id, {"payment_method": fake.ledger.add_card(fake.invoices()[0]["customer"])["id"]})
    assert settle(invoice, gateway).problem == "paid there after it was taken back here: refund it"


# --- Paying -------------------------------------------------------------------------------------


def test_a_card_that_fails_is_tried_again_by_stripe(elena, fake, gateway):
    invoice = issued(elena)
    account = with_card(elena, fake, gateway, DECLINED)
    sent = settle(invoice, gateway)
    assert (sent.state, sent.attempts, sent.failed_at) == ("open", 1, CLOSED)
    assert sent.next_attempt_at == CLOSED + timedelta(days=3)
    fake.ledger.rows[account.method_id]["number"] = "4242424242424242"  # there is money again
    fake.ledger.retry()
    sent = settle(invoice, gateway, at=TWO_DAYS)
    assert (sent.state, sent.failed_at, invoice.status) == ("paid", None, Status.PAID)


def test_paying_again_after_a_refusal_is_a_new_attempt(elena, fake, gateway):
    invoice = issued(elena)
    account = with_card(elena, fake, gateway, DECLINED)
    settle(invoice, gateway)
    with pytest.raises(Declined):
        settling.pay(invoice_id=invoice.pk, at=SOON, gateway=gateway)
    fake.ledger.rows[account.method_id]["number"] = "4242424242424242"
    assert settling.pay(invoice_id=invoice.pk, at=SOON, gateway=gateway) == "paid"
    assert settling.pay(invoice_id=invoice.pk, at=SOON, gateway=gateway) is None
    assert len(fake.ledger.charges) == 1


def test_a_payment_whose_answer_got_lost_is_not_made_twice(elena, fake, gateway):
    invoice = issued(elena)
    settle(invoice, gateway)
    with_card(elena, fake, gateway)
    fake.cut_after("POST /v1/invoices/{}/pay")
    with pytest.raises(Away):
        settling.pay(invoice_id=invoice.pk, at=SOON, gateway=gateway)
    invoice.refresh_from_db()
    assert (invoice.status, len(fake.ledger.charges)) == (Status.PAID, 1)


@pytest.mark.django_db(transaction=True)
def test_two_workers_and_two_clicks_at_once_charge_once(elena, fake, gateway):
    invoice = issued(elena)
    settle(invoice, gateway)
    with_card(elena, fake, gateway)
    together = threading.Barrier(4)
    ended = []

    def at_once(do):
        together.wait()
        try:
            ended.append(do(invoice_id=invoice.pk, at=SOON, gateway=gateway))
        except settling.Busy:
            ended.append("busy")
        finally:
            connection.close()

    deeds = (settling.pay, settling.pay, settling.settle, settling.settle)
    threads = [threading.Thread(target=at_once, args=(each,)) for each in deeds]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    while settling.pay(invoice_id=invoice.pk, at=SOON, gateway=gateway):  # had both clicks come to nothing
        pass
    assert len(ended) == 4
    assert (len(fake.invoices()), len(fake.ledger.charges)) == (1, 1)


def test_the_same_attempt_made_by_two_who_know_nothing_of_each_other(elena, fake, gateway):
    """What the key protects from where the row in our table doesn't."""
    invoice = issued(elena)
    sent = settle(invoice, gateway)
    account = with_card(elena, fake, gateway)
    other = Stripe("sk_test_fake", base=fake.url, retries=0)
    for each in (gateway, other):
        assert each.charge(sent.stripe_id or "", method_id=account.method_id, attempt=0).state == "paid"
    assert len(fake.ledger.charges) == 1


def test_an_idempotency_key_with_other_parameters_is_refused(elena, fake, gateway):
    account = with_card(elena, fake, gateway)
    order = orders.order(SentInvoice(invoice=issued(elena)), account)
    begun = gateway.draft(order)
    del fake.ledger.rows[begun.id]  # so that it isn't found
    with pytest.raises(Refused, match="idempotency"):
        gateway.draft(replace(order, number="INV-2026-000009"))


# --- What is to be settled ----------------------------------------------------------------------


def test_the_timetable_finds_what_is_not_the_same_here_and_there(elena, fake, gateway):
    def unsettled(at=CLOSED):
        return settling.unsettled(at=at, look_again=timedelta(hours=1))

    invoice = issued(elena)
    assert unsettled() == [invoice.pk]
    settle(invoice, gateway)
    assert unsettled() == []
    assert unsettled(TWO_DAYS) == [invoice.pk]  # perhaps it was paid and we weren't told
    credited(invoice, "80.00")
    assert unsettled() == [invoice.pk]
    settle(invoice, gateway)
    services.mark_paid(invoice=invoice, at=CLOSED, by="Finance")
    assert unsettled() == [invoice.pk]
    settle(invoice, gateway)
    assert unsettled(TWO_DAYS) == []


def test_looking_again_at_an_open_invoice_is_one_call(elena, fake, gateway):
    invoice = issued(elena)
    settle(invoice, gateway)
    fake.calls.clear()
    settle(invoice, gateway, at=SOON)
    assert fake.calls == ["GET /v1/invoices/{}"]


def test_three_hundred_agents_fit_into_what_stripe_takes(maya, fake, gateway):
    came_early(maya)
    bots = Agent.objects.bulk_create([Agent(workspace=maya.workspace, name=f"Bot {number}") for number in range(300)])
    tiers = itertools.cycle(["economy", "standard", "premium"])
    PlanStay.objects.bulk_create([PlanStay(agent=bot, tier=next(tiers), starts_at=FIRST) for bot in bots])
    [invoice] = services.close(workspace_ids=[maya.workspace.pk], month=FEBRUARY, at=CLOSED)
    assert invoice.lines.count() == 301
    sent = settle(invoice, gateway)
    [there] = fake.invoices()
    assert [(line["description"], line["amount"]) for line in there["lines"]] == [
        ("Hosting, Cloud, February 2026", 18_000),
        ("Starter, 100 agents", 50_000),
        ("Pro, 100 agents", 100_000),
        ("Ultra, 100 agents", 200_000),
    ]
    assert (sent.problem, sent.total) == ("", Decimal("3680.00"))


def test_a_debit_takes_days_and_is_neither_a_failure_nor_made_twice(elena, fake, gateway):
    invoice = issued(elena)
    with_card(elena, fake, gateway, SLOW)
    sent = settle(invoice, gateway)
    assert (sent.state, sent.processing, sent.attempts, sent.failed_at) == ("open", True, 1, None)
    assert settling.pay(invoice_id=invoice.pk, at=SOON, gateway=gateway) == "open"
    assert owing.owes_since(elena.workspace, at=CLOSED + timedelta(days=20)) is None
    fake.ledger.arrived(fake.invoices()[0])
    sent = settle(invoice, gateway, at=TWO_DAYS)
    assert (sent.processing, invoice.status, len(fake.ledger.charges)) == (False, Status.PAID, 1)


def test_what_we_did_not_get_round_to_charging_is_not_owed(elena, fake, gateway):
    invoice = issued(elena)
    with_card(elena, fake, gateway)
    fake.cut_before("POST /v1/invoices/{}/pay")
    settle(invoice, gateway)
    assert owing.owes_since(elena.workspace, at=CLOSED + timedelta(days=20)) is None
