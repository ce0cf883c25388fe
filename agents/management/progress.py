"""How far a long command is, drawn where a terminal is there to see it."""

import time
from collections.abc import Iterable, Iterator
from typing import Final, TextIO, TypeVar

T = TypeVar("T")

WIDTH: Final = 32  # characters
PAUSE: Final = 0.1  # seconds between two drawings


def progress(steps: Iterable[T], *, total: int, on: TextIO) -> Iterator[T]:
    """Pass on ``steps``, of which about ``total`` are expected, drawing a bar ``on`` a terminal (nothing elsewhere)."""
    if not on.isatty():
        yield from steps
        return
    done, drawn = 0, 0.0
    try:
        for step in steps:
            yield step
            done += 1
            if time.monotonic() - drawn >= PAUSE:
                drawn = time.monotonic()
                _draw(done, total=total, on=on)
    finally:
        if done:
            _draw(done, total=total, on=on)
            on.write("\n")


def _draw(done: int, *, total: int, on: TextIO) -> None:
    total = max(total, done)
    filled = WIDTH * done // total
    on.write(f"\r{'█' * filled}{'░' * (WIDTH - filled)} {100 * done // total:3}%  {done:,} of {total:,}")
    on.flush()
