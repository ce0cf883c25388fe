"""Sealing secrets at rest: AES-256-GCM under a ring of keys, bound to the place they belong to.

A sealed value reads ``v1.<key id>.<base64url(nonce + ciphertext)>``. The key id is derived from the key,
so that rotation can tell which values are still under an old one. The context (the row and column that a
value belongs to) is authenticated but not stored: a ciphertext copied to another row doesn't open there.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from typing import Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12
KEY_BYTES: Final = 32


class CryptoError(Exception):
    """Something about a sealed value or its keys is wrong. Never carries the value."""


class BadKey(CryptoError):
    """A key of the ring isn't 32 bytes in base64."""


class CannotOpen(CryptoError):
    """The value was altered, sits in another row, or its key isn't in the ring."""


class Secret:
    """A value that shows itself to nobody: every way of printing it gives ``***``.

    It isn't a string on purpose: joining, formatting or encoding it by mistake fails or gives ``***``, and
    every use goes through :meth:`reveal`, which can be searched for.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the plain value."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret can't be pickled")


class KeyRing:
    """Seals with the first of its keys, opens with any of them."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take base64url keys of 32 bytes each, the current one first.

        Raises:
            BadKey: when there is none, or one isn't 32 bytes in base64.
        """
        if not keys:
            raise BadKey("FIELD_ENCRYPTION_KEYS is empty")
        self._ciphers = {self._key_id(raw): AESGCM(raw) for raw in map(self._decode, keys)}
        self.current: str = next(iter(self._ciphers))

    def seal(self, plain: str, *, context: str) -> str:
        """Return ``plain`` sealed for ``context`` under the current key."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self.current].encrypt(nonce, plain.encode(), context.encode())
        return self.current_mark + base64.urlsafe_b64encode(nonce + sealed).decode()

    def open(self, sealed: str, *, context: str) -> Secret:
        """Return the plain value of what :meth:`seal` made for the same ``context``.

        Raises:
            CannotOpen: when it was altered, was sealed for another place, or its key is unknown.
        """
        try:
            version, key_id, body = sealed.split(".")
            raw = base64.urlsafe_b64decode(body.encode())
        except (ValueError, binascii.Error):
            raise CannotOpen("not a sealed value") from None
        cipher = self._ciphers.get(key_id)
        if version != "v1" or cipher is None:
            raise CannotOpen(f"sealed under key {key_id[:8]!r}, which isn't in FIELD_ENCRYPTION_KEYS")
        try:
            return Secret(cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode()).decode())
        except (InvalidTag, ValueError):
            raise CannotOpen("altered, or sealed for another place") from None

    @property
    def current_mark(self) -> str:
        """What every value that :meth:`seal` makes begins with."""
        return f"v1.{self.current}."

    def is_current(self, sealed: str) -> bool:
        """Tell whether a sealed value is under the current key already."""
        return sealed.startswith(self.current_mark)

    @staticmethod
    def _decode(key: str) -> bytes:
        try:
            raw = base64.urlsafe_b64decode(key.encode())
        except (ValueError, binascii.Error):
            raw = b""
        if len(raw) != KEY_BYTES:
            raise BadKey("each of FIELD_ENCRYPTION_KEYS must be 32 bytes in base64url")
        return raw

    @staticmethod
    def _key_id(raw: bytes) -> str:
        return hashlib.sha256(b"vutler key id" + raw).hexdigest()[:8]
