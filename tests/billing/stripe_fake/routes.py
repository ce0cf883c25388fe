"""Which call does what, and which of the SDK's types its parameters are."""

import re
from collections.abc import Callable
from typing import Any

from tests.billing.stripe_fake.ledger import Ledger, Problem, Row

Do = Callable[[Ledger, tuple[str, ...], Row], Row]


def _page(rows: list[Row], given: Row, url: str) -> Row:
    """Return a page of rows, as lists have it."""
    after = given.get("starting_after")
    ids = [row["id"] for row in rows]
    rows = rows[ids.index(after) + 1 :] if after else rows
    most = int(given.get("limit", 10))
    return {"object": "list", "data": rows[:most], "has_more": len(rows) > most, "url": url}


def _seen(row: Row, given: Row | None = None) -> Row:
    """Return an invoice as it's shown: with the first ten of its lines, and its payments where they are asked for."""
    shown = {name: value for name, value in row.items() if name != "intent"}
    shown["lines"] = _page(row["lines"], {}, f"/v1/invoices/{row['id']}/lines")
    if "payments.data.payment.payment_intent" in (given or {}).get("expand", []):
        intent = {"id": f"pi_{row['id']}", "object": "payment_intent", "status": row["intent"]}
        payment = {"type": "payment_intent", "payment_intent": intent}
        paid = {"id": f"inpay_{row['id']}", "object": "invoice_payment", "payment": payment}
        shown["payments"] = _page([paid], {}, "")
    return shown


def _customer(ledger: Ledger, ids: tuple[str, ...], given: Row) -> Row:
    row = dict(ledger.get(ids[0], "customer"))
    if "invoice_settings" in row and "invoice_settings.default_payment_method" in given.get("expand", []):
        default = row["invoice_settings"]["default_payment_method"]
        row["invoice_settings"] = {"default_payment_method": default and ledger.get(default, "payment_method")}
    return row


def _checkout(ledger: Ledger, _ids: tuple[str, ...], given: Row) -> Row:
    if given.get("mode") != "setup" or not given.get("currency"):
        raise Problem(400, code="parameter_missing", message="setup mode needs a currency")
    row = ledger._add("cs", "checkout.session", **given)
    row["url"] = f"{ledger._url()}/c/{row['id']}"
    return row


def _portal(ledger: Ledger, _ids: tuple[str, ...], given: Row) -> Row:
    ledger.get(given["customer"], "customer")
    row = ledger._add("bps", "billing_portal.session", **given)
    row["url"] = f"{ledger._url()}/p/{row['id']}"
    return row


def _invoices(ledger: Ledger, _ids: tuple[str, ...], given: Row) -> Row:
    rows = [row for row in ledger.all("invoice") if row["customer"] == given["customer"]]
    return _page([_seen(row) for row in rows], given, "/v1/invoices")


def _notes(ledger: Ledger, _ids: tuple[str, ...], given: Row) -> Row:
    rows = [row for row in ledger.all("credit_note") if row["invoice"] == given["invoice"]]
    return _page(rows, given, "/v1/credit_notes")


def _lines(ledger: Ledger, ids: tuple[str, ...], given: Row) -> Row:
    return _page(ledger.get(ids[0], "invoice")["lines"], given, f"/v1/invoices/{ids[0]}/lines")


def _search(ledger: Ledger, _ids: tuple[str, ...], given: Row) -> Row:
    return {"object": "search_result", "data": ledger.search_customers(given["query"]), "has_more": False, "url": ""}


# Call: the type of its parameters in stripe.params, and what it does.
CALLS: dict[str, tuple[str, Do]] = {
    "POST /v1/customers": ("CustomerCreateParams", lambda ledger, _ids, given: ledger.create_customer(given)),
    "GET /v1/customers/search": ("CustomerSearchParams", _search),
    "GET /v1/customers/{}": ("CustomerRetrieveParams", _customer),
    "POST /v1/customers/{}": ("CustomerUpdateParams", lambda ledger, ids, given: ledger.update_customer(ids[0], given)),
    "GET /v1/customers/{}/payment_methods": (
        "CustomerPaymentMethodListParams",
        lambda ledger, ids, given: _page(ledger.cards(ids[0]), given, f"/v1/customers/{ids[0]}/payment_methods"),
    ),
    "POST /v1/checkout/sessions": ("checkout.SessionCreateParams", _checkout),
    "POST /v1/billing_portal/sessions": ("billing_portal.SessionCreateParams", _portal),
    "POST /v1/invoices": ("InvoiceCreateParams", lambda ledger, _ids, given: _seen(ledger.create_invoice(given))),
    "GET /v1/invoices": ("InvoiceListParams", _invoices),
    "GET /v1/invoices/{}": (
        "InvoiceRetrieveParams",
        lambda ledger, ids, given: _seen(ledger.get(ids[0], "invoice"), given),
    ),
    "DELETE /v1/invoices/{}": ("InvoiceDeleteParams", lambda ledger, ids, _given: ledger.delete_invoice(ids[0])),
    "GET /v1/invoices/{}/lines": ("InvoiceLineItemListParams", _lines),
    "POST /v1/invoices/{}/add_lines": (
        "InvoiceAddLinesParams",
        lambda ledger, ids, given: _seen(ledger.add_lines(ids[0], given["lines"])),
    ),
    "POST /v1/invoices/{}/finalize": (
        "InvoiceFinalizeInvoiceParams",
        lambda ledger, ids, given: _seen(ledger.finalize(ids[0], given)),
    ),
    "POST /v1/invoices/{}/pay": ("InvoicePayParams", lambda ledger, ids, given: _seen(ledger.pay(ids[0], given))),
    "POST /v1/invoices/{}/send": ("InvoiceSendInvoiceParams", lambda ledger, ids, _given: _seen(ledger.send(ids[0]))),
    "POST /v1/invoices/{}/void": ("InvoiceVoidInvoiceParams", lambda ledger, ids, _given: _seen(ledger.void(ids[0]))),
    "POST /v1/invoices/{}/mark_uncollectible": (
        "InvoiceMarkUncollectibleParams",
        lambda ledger, ids, _given: _seen(ledger.mark_uncollectible(ids[0])),
    ),
    "POST /v1/credit_notes": (
        "CreditNoteCreateParams",
        lambda ledger, _ids, given: ledger.create_credit_note(given),
    ),
    "GET /v1/credit_notes": ("CreditNoteListParams", _notes),
}
_PATTERNS: list[tuple[str, Any]] = [
    (call, re.compile(re.escape(call).replace(r"\{\}", "([^/]+)").replace("{}", "([^/]+)"))) for call in CALLS
]


def found(method: str, path: str) -> tuple[str, str, Do, tuple[str, ...]]:
    """Return the call, the type of its parameters, what it does, and the ids in its path.

    Raises:
        KeyError: for one that isn't played.
    """
    for call, pattern in _PATTERNS:
        if match := pattern.fullmatch(f"{method} {path}"):
            return call, *CALLS[call], match.groups()
    raise KeyError(path)
