"""The secrets of second factors, sealed. django-allauth keeps them inside a JSON column and asks here."""

from typing import Any, Final

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator

from agents.crypto import KeyRing
from agents.fields import key_ring

# allauth doesn't say whose secret it is, so the seal is bound to the purpose and not to the row.
CONTEXT: Final = "allauth.mfa"
SECRETS: Final = ("secret", "seed")  # of an authenticator app; of recovery codes


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Seals what allauth would store in the clear."""

    def encrypt(self, text: str) -> str:
        """Return ``text`` sealed."""
        return key_ring().seal(text, context=CONTEXT)

    def decrypt(self, encrypted_text: str) -> str:
        """Return what :meth:`encrypt` sealed.

        Raises:
            CannotOpen: when it was tampered with or its key left the ring.
        """
        return key_ring().open(encrypted_text, context=CONTEXT).reveal()


def due(ring: KeyRing) -> list[Any]:
    """Return the authenticators with a secret that isn't under the ring's first key."""
    stored = Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).order_by("pk")
    return [each for each in stored if not all(ring.is_current(sealed) for sealed in _sealed(each).values())]


def reseal(authenticator: Any, *, ring: KeyRing) -> bool:
    """Seal an authenticator's secrets under the ring's first key; tell whether nobody changed it meanwhile.

    Raises:
        CannotOpen: when the ring can't open them.
    """
    again = {
        name: ring.seal(ring.open(sealed, context=CONTEXT).reveal(), context=CONTEXT)
        for name, sealed in _sealed(authenticator).items()
    }
    unchanged = Authenticator.objects.filter(pk=authenticator.pk, data=authenticator.data)
    return bool(unchanged.update(data={**authenticator.data, **again}))


def _sealed(authenticator: Any) -> dict[str, str]:
    return {name: authenticator.data[name] for name in SECRETS if name in authenticator.data}
