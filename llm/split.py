"""Which arm of an experiment a session belongs to: worked out from its name alone, so nobody has to remember it.

Every process, at any time, comes to the same answer. What is noted of a session is a digest under the experiment's
own id: it says which requests belong together, and neither whose they are nor what they do in another experiment.
"""

from hashlib import blake2b
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
        digest = blake2b(session.encode(), digest_size=16, key=self.experiment_id.encode()[:64]).digest()
        # The first half chooses the arm, the second one names the session: neither tells of the other.
        mark = int.from_bytes(digest[:8], "big") * sum(self.weights)
        reached = 0
        for arm, weight in enumerate(self.weights):
            reached += weight * _WHOLE
            if mark < reached:
                return Place(arm, digest[8:].hex())
        raise AssertionError("weights add up to the whole")
