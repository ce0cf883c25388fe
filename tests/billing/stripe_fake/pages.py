"""The few pages that customers see: Checkout, the portal, and an invoice to pay."""

from tests.billing.stripe_fake.ledger import GOOD, Ledger, Row

PAGE = """<!doctype html><html lang="en"><head><title>Stripe</title><link rel="icon" href="data:,"></head>
<body><main><h1>Stripe</h1><form method="post">{asked}<button>{button}</button></form></main></body></html>"""
CARD = '<label>Card number <input name="number"></label>'

CHECKOUT, PORTAL, INVOICE = "c", "p", "i"


def answer(ledger: Ledger, method: str, path: str, given: Row) -> tuple[int, str, dict[str, str]]:
    """Return status, body and headers."""
    kind, _slash, row_id = path.strip("/").partition("/")
    row = ledger.rows.get(row_id)
    if row is None:
        return 404, "", {}
    if method == "GET":
        return 200, PAGE.format(asked="" if kind == INVOICE else CARD, button="Pay" if kind == INVOICE else "Save"), {}
    return 303, "", {"location": _submitted(ledger, kind, row, given)}


def _submitted(ledger: Ledger, kind: str, row: Row, given: Row) -> str:
    if kind == INVOICE:
        card = (ledger.cards(row["customer"]) or [ledger.add_card(row["customer"])])[0]
        ledger.pay(row["id"], {"payment_method": card["id"]})
        return f"/i/{row['id']}"
    card = ledger.add_card(row["customer"], given.get("number", "").replace(" ", "") or GOOD)
    if kind == PORTAL:
        ledger.update_customer(row["customer"], {"invoice_settings": {"default_payment_method": card["id"]}})
        return str(row["return_url"])
    ledger.happened("checkout.session.completed", row)
    return str(row["success_url"])
