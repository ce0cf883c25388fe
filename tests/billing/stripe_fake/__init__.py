"""Stripe, as far as we use it: a real HTTP server on loopback that keeps what it's given in memory.

with Fake() as fake:
    gateway = Stripe("sk_test_fake", base=fake.url, retries=0)
    fake.cut_after("POST /v1/invoices")       # done, but the answer gets lost
    fake.advance(hours=25)                    # idempotency keys are forgotten
    fake.events                               # what it would tell, to be signed and delivered by the test

Held to the real one: names of parameters (those of ``stripe.params``, checked on every call), idempotency keys with
their parameter check and conflicts, the life of an invoice, at most 250 lines, cards that fail, credit notes before
and after payment, search that lags. What isn't here answers 404.
"""

from tests.billing.stripe_fake.ledger import DECLINED, GOOD, SLOW
from tests.billing.stripe_fake.server import Fake

__all__ = ["DECLINED", "GOOD", "SLOW", "Fake"]
