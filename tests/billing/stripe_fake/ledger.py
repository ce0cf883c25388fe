"""What Stripe keeps: customers, their cards, invoices, credit notes, and what happened."""

import copy
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

MOST_LINES = 250
MINIMUM = 50  # cents
SEARCH_LAG = 60  # seconds
RETRY_AFTER = timedelta(days=3)
GOOD, DECLINED, SLOW = "4242424242424242", "4000000000000341", "a debit"

Row = dict[str, Any]


class Problem(Exception):
    """An answer of Stripe's that isn't 200."""

    def __init__(self, status: int, *, code: str = "", message: str = "", kind: str = "invalid_request_error") -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"type": kind, "code": code, "message": message or code}}


class Ledger:
    """All of an account's rows, by id."""

    def __init__(self, *, url: Callable[[], str]) -> None:
        self._url = url
        self._numbers = itertools.count(1)
        self.now = datetime(2026, 3, 2, tzinfo=UTC)
        self.rows: dict[str, Row] = {}
        self.events: list[Row] = []
        self.charges: list[tuple[str, int]] = []  # invoice, cents
        self.refunds: list[tuple[str, int]] = []
        self.mails: list[str] = []

    def all(self, kind: str) -> list[Row]:
        """Return the rows of a kind, the newest first."""
        return [row for row in reversed(self.rows.values()) if row["object"] == kind]

    def get(self, row_id: str, kind: str) -> Row:
        row = self.rows.get(row_id)
        if row is None or row["object"] != kind:
            raise Problem(404, code="resource_missing", message=f"No such {kind}: '{row_id}'")
        return row

    def happened(self, kind: str, row: Row) -> None:
        event = {
            "id": f"evt_{next(self._numbers)}",
            "object": "event",
            "type": kind,
            "created": self.timestamp,
            "livemode": False,
            "data": {"object": copy.deepcopy(row)},
        }
        self.events.append(event)

    @property
    def timestamp(self) -> int:
        return int(self.now.timestamp())

    def _add(self, prefix: str, kind: str, **fields: Any) -> Row:
        row_id = f"{prefix}_{next(self._numbers)}"
        row = {"id": row_id, "object": kind, "created": self.timestamp, "livemode": False, "metadata": {}, **fields}
        self.rows[row_id] = row
        return row

    # --- Customers and their cards --------------------------------------------------------------

    def create_customer(self, given: Row) -> Row:
        row = self._add("cus", "customer", email=None, name=None, invoice_settings={"default_payment_method": None})
        return self.update_customer(row["id"], given)

    def update_customer(self, row_id: str, given: Row) -> Row:
        row = self.get(row_id, "customer")
        default = given.get("invoice_settings", {}).get("default_payment_method")
        if default and self.get(default, "payment_method")["customer"] != row_id:
            raise Problem(400, code="resource_missing", message="not this customer's")
        for name, value in given.items():
            row[name] = row[name] | value if isinstance(row.get(name), dict) else value
        self.happened("customer.updated", row)
        return row

    def search_customers(self, query: str) -> list[Row]:
        """Find by metadata what isn't too new: the real search lags as well."""
        name, wanted = query.removeprefix("metadata['").split("']:'")
        old = [row for row in self.all("customer") if row["created"] <= self.timestamp - SEARCH_LAG]
        return [row for row in old if row["metadata"].get(name) == wanted.rstrip("'")]

    def add_card(self, customer: str, number: str = GOOD) -> Row:
        """Let a customer have saved a card on Stripe's page."""
        self.get(customer, "customer")
        card = {"brand": "visa", "last4": number[-4:], "exp_month": 12, "exp_year": 2030}
        row = self._add("pm", "payment_method", type="card", customer=customer, card=card, number=number)
        self.happened("payment_method.attached", row)
        return row

    def cards(self, customer: str) -> list[Row]:
        return [row for row in self.all("payment_method") if row["customer"] == customer]

    def drop_card(self, row_id: str) -> None:
        row = self.get(row_id, "payment_method")
        settings = self.get(row["customer"], "customer")["invoice_settings"]
        if settings["default_payment_method"] == row_id:
            settings["default_payment_method"] = None
        row["customer"] = None
        self.happened("payment_method.detached", row)

    # --- Invoices -------------------------------------------------------------------------------

    def create_invoice(self, given: Row) -> Row:
        if given.get("pending_invoice_items_behavior") == "include" or given.get("auto_advance") == "true":
            raise Problem(400, code="not_played", message="this fake only plays what we mean to ask for")
        method = given.get("collection_method", "charge_automatically")
        if (method == "send_invoice") != ("days_until_due" in given):
            raise Problem(400, code="parameter_missing", message="days_until_due goes with send_invoice")
        self.get(given["customer"], "customer")
        row = self._add(
            *("in", "invoice"),
            status="draft",
            customer=given["customer"],
            currency=given["currency"],
            number=given.get("number"),
            metadata=given.get("metadata", {}),
            collection_method=method,
            auto_advance=False,
            lines=[],
            total=0,
            amount_due=0,
            amount_paid=0,
            amount_paid_off_stripe=0,
            amount_remaining=0,
            attempt_count=0,
            attempted=False,
            hosted_invoice_url=None,
            next_payment_attempt=None,
            pre_payment_credit_notes_amount=0,
            post_payment_credit_notes_amount=0,
            intent="requires_payment_method",
        )
        self.happened("invoice.created", row)
        return row

    def add_lines(self, row_id: str, lines: list[Row]) -> Row:
        row = self._in(row_id, "draft")
        if len(row["lines"]) + len(lines) > MOST_LINES:
            raise Problem(400, code="invoice_too_many_items", message="at most 250 items an invoice")
        for line in lines:
            start, end = int(line["period"]["start"]), int(line["period"]["end"])
            if end < start or line["amount"] != str(int(line["amount"])):
                raise Problem(400, code="parameter_invalid", message="amounts are whole cents, periods run forward")
            row["lines"].append(
                {
                    "id": f"il_{next(self._numbers)}",
                    "object": "line_item",
                    "amount": int(line["amount"]),
                    "description": line["description"],
                    "period": {"start": start, "end": end},
                    "metadata": line.get("metadata", {}),
                }
            )
        row["total"] = row["amount_due"] = row["amount_remaining"] = sum(each["amount"] for each in row["lines"])
        return row

    def finalize(self, row_id: str, given: Row) -> Row:
        row = self.get(row_id, "invoice")
        if row["status"] != "draft":
            raise Problem(400, code="invoice_already_finalized")
        row["status"] = "open"
        row["number"] = row["number"] or f"FAKE-{row_id}"
        row["auto_advance"] = given.get("auto_advance") == "true"
        row["hosted_invoice_url"] = f"{self._url()}/i/{row_id}"
        self.happened("invoice.finalized", row)
        if row["amount_remaining"] <= 0:
            self._paid(row)
        return row

    def pay(self, row_id: str, given: Row) -> Row:
        row = self.get(row_id, "invoice")
        if row["status"] == "paid":
            raise Problem(400, code="invoice_already_paid", message="Invoice is already paid")
        if row["status"] not in {"open", "uncollectible"}:
            raise Problem(400, code="invoice_not_payable", message=f"it is {row['status']}")
        if given.get("paid_out_of_band") == "true":
            row["amount_paid_off_stripe"] = row["amount_paid"] = row["amount_remaining"]
            return self._paid(row)
        customer = self.get(row["customer"], "customer")
        method = given.get("payment_method") or customer["invoice_settings"]["default_payment_method"]
        card = self.rows.get(method or "")
        if card is None or card["customer"] != row["customer"]:
            raise Problem(400, code="resource_missing", message="no payment method of this customer's")
        if row["amount_remaining"] < MINIMUM:
            raise Problem(400, code="amount_too_small")
        if row["intent"] == "processing":
            raise Problem(400, code="payment_intent_unexpected_state")
        return self._charge(row, card)

    def _charge(self, row: Row, card: Row) -> Row:
        row["attempted"] = True
        row["attempt_count"] = row["attempt_count"] or 1  # later ones count when Stripe's own schedule makes them
        if card["number"] == DECLINED:
            if row["auto_advance"]:
                row["next_payment_attempt"] = int((self.now + RETRY_AFTER).timestamp())
            self.happened("invoice.payment_failed", row)
            raise Problem(402, code="card_declined", message="Your card was declined.", kind="card_error")
        if card["number"] == SLOW:
            row["intent"] = "processing"
            return row
        return self.arrived(row)

    def arrived(self, row: Row) -> Row:
        """Let the money of an invoice have arrived."""
        self.charges.append((row["id"], row["amount_remaining"]))
        row["intent"] = "succeeded"
        row["amount_paid"] = row["amount_remaining"]
        return self._paid(row)

    def _paid(self, row: Row) -> Row:
        row.update(status="paid", amount_remaining=0, auto_advance=False, next_payment_attempt=None)
        self.happened("invoice.paid", row)
        return row

    def retry(self) -> None:
        """Let Stripe's schedule try what failed once more."""
        for row in self.all("invoice"):
            if row["status"] == "open" and row["auto_advance"] and row["next_payment_attempt"]:
                row["attempt_count"] += 1
                default = self.get(row["customer"], "customer")["invoice_settings"]["default_payment_method"]
                try:
                    self._charge(row, self.rows[default])
                except Problem:
                    continue

    def send(self, row_id: str) -> Row:
        row = self._in(row_id, "open")
        self.mails.append(row_id)
        self.happened("invoice.sent", row)
        return row

    def void(self, row_id: str) -> Row:
        row = self._in(row_id, "open", "uncollectible")
        row.update(status="void", amount_remaining=0, auto_advance=False)
        self.happened("invoice.voided", row)
        return row

    def mark_uncollectible(self, row_id: str) -> Row:
        row = self._in(row_id, "open")
        row.update(status="uncollectible", auto_advance=False)
        self.happened("invoice.marked_uncollectible", row)
        return row

    def delete_invoice(self, row_id: str) -> Row:
        self._in(row_id, "draft")
        del self.rows[row_id]
        return {"id": row_id, "object": "invoice", "deleted": True}

    def _in(self, row_id: str, *states: str) -> Row:
        row = self.get(row_id, "invoice")
        if row["status"] not in states:
            raise Problem(400, code="invoice_not_editable", message=f"it is {row['status']}")
        return row

    # --- Credit notes ---------------------------------------------------------------------------

    def create_credit_note(self, given: Row) -> Row:
        """Lower what is left to pay, and give the rest back in the ways that are named, which must add up."""
        invoice, amount = self._in(given["invoice"], "open", "paid", "uncollectible"), int(given["amount"])
        before = min(amount, invoice["amount_remaining"])
        back, outside = int(given.get("refund_amount", 0)), int(given.get("out_of_band_amount", 0))
        credited = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
        refunded = sum(cents for refunded, cents in self.refunds if refunded == invoice["id"])
        paid_here = invoice["amount_paid"] - invoice["amount_paid_off_stripe"]
        if amount <= 0 or credited + amount > invoice["total"] or back + outside != amount - before:
            raise Problem(400, code="credit_note_amounts", message="the parts don't come to what is given back")
        if refunded + back > paid_here:
            raise Problem(400, code="charge_already_refunded")
        if back:
            self.refunds.append((invoice["id"], back))
        invoice["amount_remaining"] -= before
        invoice["amount_due"] -= before
        invoice["pre_payment_credit_notes_amount"] += before
        invoice["post_payment_credit_notes_amount"] += amount - before
        note = self._add("cn", "credit_note", invoice=invoice["id"], amount=amount, memo=given.get("memo"))
        note["metadata"] = given.get("metadata", {})
        self.happened("credit_note.created", note)
        if invoice["status"] == "open" and not invoice["amount_remaining"]:
            self._paid(invoice)
        return note
