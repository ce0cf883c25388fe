"""Customers who pay: an invoice that was issued, a fake of Stripe, and a gateway that talks to it."""

from collections.abc import Iterator

import pytest

from billing import services, settling
from billing.gateways.stripe import Stripe
from billing.models import BillingProfile, Invoice
from billing.payments import PaymentAccount
from tests.billing.customers import CLOSED, FEBRUARY, came_early, on_plan
from tests.billing.stripe_fake import GOOD, Fake
from tests.billing.stripe_fake.server import KEY, WEBHOOK_SECRET
from tests.conftest import Person


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake() as fake:
        yield fake


@pytest.fixture
def gateway(fake) -> Stripe:
    """Our side of it, which doesn't try again by itself."""
    return Stripe(KEY, base=fake.url, retries=0)


@pytest.fixture
def stripe_keys(settings, fake, monkeypatch) -> None:
    """Settings as they are with Stripe's keys."""
    monkeypatch.setattr("stripe.HTTPClient.INITIAL_DELAY", 0.0)  # seconds before it tries again
    settings.STRIPE_SECRET_KEY = KEY
    settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
    settings.STRIPE_API_BASE = fake.url


def issued(person: Person, *, tax_ppm: int = 0, language: str = "en") -> Invoice:
    """Return the person's February: $180.00 of hosting and $5.00 of Starter, and tax."""
    came_early(person)
    details = {"tax_ppm": tax_ppm, "language": language}
    BillingProfile.objects.update_or_create(workspace=person.workspace, defaults=details)
    on_plan(person, "economy")
    [invoice] = services.close(workspace_ids=[person.workspace.pk], month=FEBRUARY, at=CLOSED)
    return invoice


def with_card(person: Person, fake: Fake, gateway: Stripe, number: str = GOOD) -> PaymentAccount:
    """Let the person have given a card."""
    account = settling.registered(person.workspace, gateway)
    fake.ledger.add_card(account.customer_id or "", number)
    return settling.refresh_method(person.workspace, gateway=gateway)
