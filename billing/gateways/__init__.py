"""Who takes payments: Stripe where its key is set, and nobody otherwise."""

from functools import lru_cache

from django.conf import settings

from billing.gateways.base import Gateway
from billing.gateways.local import Local


def gateway() -> Gateway:
    """Return what takes payments, by the settings."""
    if not settings.STRIPE_SECRET_KEY:
        return Local()
    return _stripe(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


@lru_cache(maxsize=1)
def _stripe(key: str, base: str) -> Gateway:
    # Its SDK takes a while to import, and whoever has no key has no use for it.
    from billing.gateways.stripe import Stripe

    return Stripe(key, base=base)
