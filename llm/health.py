"""How pool keys and providers are doing, and what an attempt's ending means for them. Pure: time is passed in.

Source of the rules: product, "Failing over". A refusal that the request itself caused (400, 404, 413, 422 …) says
nothing about a key, so no customer can cool one for the others by asking nonsense.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

KEY_REFUSED: Final = frozenset({401, 402, 403})
TRY_ELSEWHERE: Final = frozenset({408, 409, 429, *KEY_REFUSED})  # and every 5xx, 529 among them

COOL_RATE_LIMITED: Final = 10.0  # seconds, where the provider doesn't say
COOL_REFUSED: Final = 300.0  # seconds: a bad or unfunded key doesn't mend itself soon
COOL_AT_MOST: Final = 900.0  # seconds, whatever `retry-after` says
BREAK_AFTER: Final = 5  # failures in a row
BROKEN_FOR: Final = 15.0  # seconds until one request is let through to try

SMOOTHING: Final = 0.1  # weight of the newest attempt in success rate and latency


class Meaning(Enum):
    """What an attempt's ending says."""

    FINE = "answered"
    CALLERS = "the request itself was refused"
    BUSY = "try elsewhere; nobody is to blame"
    RATE_LIMITED = "this key has had enough for now"
    REFUSED = "this key isn't accepted"
    FAULT = "the provider is in trouble"

    @property
    def moves_on(self) -> bool:
        """Whether another key or route may do better."""
        return self not in {Meaning.FINE, Meaning.CALLERS}


def meaning_of(status: int | None) -> Meaning:
    """Return what a provider's status says; None stands for no answer at all (refused, reset, timed out)."""
    if status is None or status >= 500:  # noqa: PLR2004
        return Meaning.FAULT
    if status in KEY_REFUSED:
        return Meaning.REFUSED
    if status == 429:  # noqa: PLR2004
        return Meaning.RATE_LIMITED
    if status in TRY_ELSEWHERE:
        return Meaning.BUSY
    return Meaning.FINE if status < 400 else Meaning.CALLERS  # noqa: PLR2004


@dataclass(slots=True)
class KeyHealth:
    """One pool key. Times are seconds of the caller's clock; ``latency`` is in seconds to the head of an answer."""

    cooling_until: float = 0.0
    reason: str = ""
    success_rate: float = 1.0
    latency: float = 0.0
    attempts: int = 0

    def cooling(self, now: float) -> bool:
        """Whether it's better left alone."""
        return now < self.cooling_until


@dataclass(slots=True)
class Breaker:
    """One provider: closed in good times, open after failures in a row, then open but for one request at a time."""

    failures: int = 0
    open_until: float = 0.0
    trying: bool = False

    @property
    def open(self) -> bool:
        """Whether the provider is in trouble, as far as anybody knows."""
        return self.failures >= BREAK_AFTER

    def lets_through(self, now: float) -> bool:
        """Whether a request may go there now."""
        return not self.open or (now >= self.open_until and not self.trying)


@dataclass(slots=True)
class Health:
    """Everything that is known of keys and providers."""

    keys: dict[str, KeyHealth] = field(default_factory=dict)
    breakers: dict[str, Breaker] = field(default_factory=dict)

    def key(self, key_id: str) -> KeyHealth:
        """Return a key's health, good until something else is known."""
        return self.keys.setdefault(key_id, KeyHealth())

    def breaker(self, provider: str) -> Breaker:
        """Return a provider's breaker."""
        return self.breakers.setdefault(provider, Breaker())

    def ready_at(self, key_id: str, provider: str) -> float:
        """Return when a key and its provider may be used again; in the past where they may be now."""
        return max(self.key(key_id).cooling_until, self.breaker(provider).open_until)

    def begin(self, *, provider: str) -> None:
        """Note that an attempt goes out; to an open breaker it is the one that tries."""
        breaker = self.breaker(provider)
        breaker.trying = breaker.open

    def abandoned(self, *, provider: str) -> None:
        """Note that an attempt was given up (the caller left): it says nothing."""
        self.breaker(provider).trying = False

    def ended(
        self,
        *,
        key_id: str,
        provider: str,
        status: int | None,
        now: float,
        latency: float = 0.0,
        retry_after: float | None = None,
    ) -> Meaning:
        """Note how an attempt ended and return what that means."""
        meaning = meaning_of(status)
        key, breaker = self.key(key_id), self.breaker(provider)
        breaker.trying = False
        if meaning is Meaning.FAULT:
            breaker.failures += 1
            if breaker.open:
                breaker.open_until = now + BROKEN_FOR
        else:
            # Any answer of sense, a refusal too, shows that the provider itself is up.
            breaker.failures = 0
        if meaning is Meaning.RATE_LIMITED:
            wait = COOL_RATE_LIMITED if retry_after is None else retry_after
            self.cool(key_id, until=now + min(wait, COOL_AT_MOST), reason="rate limited (429)")
        elif meaning is Meaning.REFUSED:
            self.cool(key_id, until=now + COOL_REFUSED, reason=f"refused ({status})")
        if meaning is not Meaning.CALLERS:
            key.attempts += 1
            good = meaning is Meaning.FINE
            key.success_rate += SMOOTHING * (good - key.success_rate)
            if good:
                key.latency += (latency - key.latency) * (SMOOTHING if key.latency else 1.0)
        return meaning

    def cool(self, key_id: str, *, until: float, reason: str) -> None:
        """Leave a key alone until then, or longer if that was said before."""
        key = self.key(key_id)
        if until > key.cooling_until:
            key.cooling_until, key.reason = until, reason

    def mend(self, key_id: str) -> None:
        """Use a key again at once: somebody has seen it work."""
        key = self.key(key_id)
        key.cooling_until, key.reason = 0.0, ""

    def down(self, provider: str, *, until: float) -> None:
        """Pass a provider over until then: another process has seen it fail."""
        breaker = self.breaker(provider)
        breaker.failures = max(breaker.failures, BREAK_AFTER)
        breaker.open_until = max(breaker.open_until, until)

    def up(self, provider: str) -> None:
        """Use a provider again: another process has seen it answer."""
        breaker = self.breaker(provider)
        breaker.failures, breaker.open_until = 0, 0.0
