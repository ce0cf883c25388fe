"""A few at a time: whatever is too much for one statement, or for memory."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Give rows in lists of ``size``, the last of what is left."""
    source = iter(rows)
    while some := list(islice(source, size)):
        yield some
