"""Which arm of an experiment a session belongs to: worked out from its name alone, so nobody has to remember it.

Every process, at any time, comes to the same answer. What is noted of a session is a digest under the experiment's
own id: it says which requests belong together, and neither whose they are nor what they do in another experiment.
"""

from bisect import bisect_right
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from typing import Final, NamedTuple

import msgspec

_WHOLE: Final = 1 << 64


class Place(NamedTuple):
    """Where a session belongs: the position of its arm from 0, and the session's digest."""

    arm: int
    session: str


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """How an experiment divides traffic: to each arm a weight, in order."""

    experiment_id: str
    weights: tuple[int, ...]

    def place(self, session: str) -> Place:
        """Return where a session belongs."""
        hashing = _keyed(self.experiment_id).copy()
        hashing.update(session.encode())
        digest = hashing.digest()
        # The first half chooses the arm, the second one names the session: neither tells of the other.
        return Place(bisect_right(_ends(self.weights), int.from_bytes(digest[:8], "big")), digest[8:].hex())

    def place_of_request(self, request_id: str) -> Place:
        """Return where a request belongs that is no part of a session: its id (a UUIDv7) is chance enough."""
        chance = int(request_id[24:], 16) << 16
        return Place(bisect_right(_ends(self.weights), chance), request_id[19:23] + request_id[24:])


@lru_cache(1024)
def _keyed(experiment_id: str) -> blake2b:
    return blake2b(digest_size=16, key=experiment_id.encode()[:64])


@lru_cache(1024)
def _ends(weights: tuple[int, ...]) -> list[int]:
    """Return where each arm's share of all digests ends: the first one that is the next arm's."""
    whole = sum(weights)
    return [-(-reached * _WHOLE // whole) for reached in accumulate(weights)]
