"""Token counts in disjoint parts. Plain arithmetic.

Anthropic leaves cached tokens out of ``input_tokens``; OpenAI counts them in ``prompt_tokens``. The parts here
don't overlap, so neither habit reaches an invoice: each token is in exactly one of them.
"""

import os
import time
from typing import Final

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one request used, in tokens. The parts are disjoint.

    ``input`` was read afresh, ``cache_read`` came from the provider's cache, ``cache_write_5m`` and
    ``cache_write_1h`` were put into it for that long; ``output`` is the answer without ``reasoning``.
    """

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def tokens_input(self) -> int:
        """All input, cached included."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def cache_write(self) -> int:
        """All that was written to the provider's cache."""
        return self.cache_write_5m + self.cache_write_1h

    @property
    def tokens_output(self) -> int:
        """All output, reasoning included."""
        return self.output + self.reasoning

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


# The two bits that say how to read a UUID, over two of chance.
VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def record_id() -> str:
    """Return a fresh id for a record: a UUID of version 7 (RFC 9562), so that ids grow with time."""
    when = f"{time.time_ns() // 1_000_000:012x}"
    rand = os.urandom(10).hex()
    return f"{when[:8]}-{when[8:]}-7{rand[:3]}-{VARIANT[rand[3]]}{rand[4:7]}-{rand[7:19]}"
