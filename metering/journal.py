"""The journal: a record is on disk before its answer ends, and reaches the store exactly once.

Records are appended to a segment, a file of JSON lines that one process holds locked. A thread writes what has
gathered and syncs it to disk in one go (group commit), then lets the waiting answers end. Every half second the
segment is closed and becomes *ready*; another thread ships ready segments to the store and removes them. While
the store is away they gather on disk. A process that dies leaves a segment without a lock behind, which the next
one to look adopts. Shipping twice is harmless: the store knows the ids.

    NAME.open    being written, locked by its writer
    NAME.ready   complete, waiting for the store
    NAME.bad     lines that the store can't ever hold, kept for a person to look at
"""

import asyncio
import contextlib
import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

import structlog
from django.db import connections

from metering.store.base import BadRecord, StoreUnavailable

ROTATE_AFTER: Final = 0.5  # seconds
GATHER_FOR: Final = 0.002  # seconds, so that requests that end together share one sync
ROTATE_AT: Final = 8 * 1024 * 1024  # bytes
BATCH: Final = 2_000  # records in one statement
ADOPT_EVERY: Final = 5.0  # seconds
LONGEST_PAUSE: Final = 5.0  # seconds between attempts while the store is away

log = structlog.get_logger(__name__)

Append = Callable[[Sequence[bytes]], int]
Waiting = list[tuple[bytes, "asyncio.Future[None]"]]


class JournalClosed(Exception):
    """The process is going down; nothing more is taken."""


class Journal:
    """One process's journal. ``write`` from the event loop; everything else happens in two threads."""

    def __init__(self, directory: Path, *, append: Append) -> None:
        """Use ``directory`` (made if need be, shared by all processes) and ship with ``append``."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._append = append
        self._lock = threading.Lock()
        self._gathering: Waiting = []
        # What has gathered, batch by batch, and at last None. One put a batch is all that wakes the writing thread.
        self._batches: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._taken = self._settled = 0
        self._ship = threading.Event()
        self._closing = threading.Event()
        self.store_failures = 0
        self._threads = [
            threading.Thread(target=target, name=f"journal-{target.__name__}", daemon=True)
            for target in (self._write_forever, self._ship_forever)
        ]

    def start(self) -> None:
        """Begin to write and ship; adopt what a dead process left."""
        self._ship.set()
        for thread in self._threads:
            thread.start()

    def write(self, line: bytes, *, to_come: int = 0) -> "asyncio.Future[None]":
        """Take a record (JSON, no line break); the future is done when it's on disk, or failed if it can't be.

        The record is taken even if nobody waits for the future. It waits for company, ``GATHER_FOR`` at most, until
        half of all that are here have gathered: records that aren't on disk yet, and requests whose are ``to_come``.
        The one half is synced while the other is answered.

        Raises:
            JournalClosed: after :meth:`close`.
        """
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        with self._lock:
            if self._closing.is_set():
                raise JournalClosed
            self._gathering.append((line, done))
            self._taken += 1
            gathered = len(self._gathering)
            if gathered * 2 >= to_come + self.waiting:
                self._hand_over()
            elif gathered == 1:
                loop.call_later(GATHER_FOR, self._gathered, self._gathering)
        return done

    @property
    def waiting(self) -> int:
        """How many records aren't on disk yet."""
        return self._taken - self._settled

    def close(self, *, within: float = 10.0) -> None:
        """Write what was taken, try for ``within`` seconds to ship it, and stop. What is left stays on disk."""
        with self._lock:
            self._closing.set()
            self._hand_over()
        self._batches.put(None)
        self._ship.set()
        deadline = time.monotonic() + within
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(deadline - time.monotonic(), 0.1))

    def _gathered(self, batch: Waiting) -> None:
        """Hand a batch over that has waited for long enough, if it is still here."""
        with self._lock:
            if batch is self._gathering:
                self._hand_over()

    def _hand_over(self) -> None:
        """Give the writing thread what has gathered. Call with the lock held."""
        batch, self._gathering = self._gathering, []
        if batch:
            self._batches.put(batch)

    # --- writing --------------------------------------------------------------------------------

    def _write_forever(self) -> None:
        segment: Segment | None = None
        last = False
        while not last:
            batch, last = self._next_batch(within=ROTATE_AFTER if segment else None)
            if batch:
                segment = self._commit(segment, batch)
                self._settled += len(batch)
            if segment and (last or segment.due()):
                segment.finish()
                segment = None
                self._ship.set()
        connections.close_all()

    def _next_batch(self, *, within: float | None) -> tuple[Waiting, bool]:
        """Wait for a batch, and take those behind it along; tell whether it was the last."""
        batch: Waiting = []
        try:
            handed_over = self._batches.get(timeout=within)
            while handed_over is not None:
                batch += handed_over
                handed_over = self._batches.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _commit(self, segment: "Segment | None", waiting: Waiting) -> "Segment | None":
        lines = [line for line, _done in waiting]
        failure: Exception | None = None
        try:
            segment = segment or Segment.create(self._directory)
            segment.write(lines)
        except OSError as error:
            log.error("journal_unwritable", error=str(error), records=len(lines))
            if segment:
                segment.finish()
                segment = None
            failure = self._straight_to_store(lines, error)
        _resolve([done for _line, done in waiting], failure)
        return segment

    def _straight_to_store(self, lines: list[bytes], error: OSError) -> Exception | None:
        # No disk to write to: the store itself is the next best place that survives a crash.
        try:
            for start in range(0, len(lines), BATCH):
                self._append(lines[start : start + BATCH])
        except Exception as worse:  # whatever it is, the thread must live: all later answers wait for it
            log.error("store_unwritable_too", error=type(worse).__name__, records=len(lines))
            return error
        return None

    # --- shipping -------------------------------------------------------------------------------

    def _ship_forever(self) -> None:
        pause = 0.0
        while not self._closing.is_set():
            # A store that is away gets its rest, however many segments become ready meanwhile.
            if pause:
                self._closing.wait(pause)
            else:
                self._ship.wait(ADOPT_EVERY)
            self._ship.clear()
            pause = self._ship_once(pause)
        self._threads[0].join()
        self._ship_once(0.0)
        connections.close_all()

    def _ship_once(self, pause: float) -> float:
        try:
            ship(self._directory, append=self._append)
        except StoreUnavailable as error:
            self.store_failures += 1
            log.warning("store_unavailable", error=str(error), waiting=len(list(self._directory.glob("*.ready"))))
            return min(max(pause * 2, 0.25), LONGEST_PAUSE)
        except Exception:
            self.store_failures += 1
            log.exception("shipping_failed")
            return LONGEST_PAUSE
        return 0.0


class Segment:
    """A file of records that this process holds locked while it writes."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._size = 0
        self._opened = time.monotonic()

    @classmethod
    def create(cls, directory: Path) -> "Segment":
        """Start a segment.

        Raises:
            OSError: when the disk won't; nothing is left behind.
        """
        while True:
            path = directory / f"{time.time_ns():020}-{os.getpid()}-{uuid4().hex[:8]}.open"
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                if _hold(descriptor, path):
                    sync_directory(directory)
                    return cls(path, descriptor)
            except OSError:
                os.close(descriptor)
                path.unlink(missing_ok=True)
                raise
            os.close(descriptor)  # somebody adopted it, empty, between its birth and its lock: begin again

    def write(self, lines: Sequence[bytes]) -> None:
        """Append ``lines`` and wait until the disk has them.

        Raises:
            OSError: when the disk won't; the segment is then as it was before.
        """
        data = b"\n".join(lines) + b"\n"
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)

    def due(self) -> bool:
        """Tell whether it's time to hand the segment over."""
        return self._size >= ROTATE_AT or time.monotonic() - self._opened >= ROTATE_AFTER

    def finish(self) -> None:
        """Hand the segment over to whoever ships."""
        # Where it can't be renamed, it is adopted like a dead process's, once it's closed.
        with contextlib.suppress(OSError):
            self._path.rename(self._path.with_suffix(".ready"))
        os.close(self._descriptor)


def ship(directory: Path, *, append: Append) -> int:
    """Store the records of every ready or orphaned segment, oldest first; return how many were new.

    Raises:
        StoreUnavailable: when the store is away; segments stay where they are.
    """
    new = 0
    for path in sorted(directory.glob("*.ready")) + sorted(directory.glob("*.open")):
        try:
            new += _ship_segment(path, append)
        except OSError as error:
            # It stays for another attempt; those after it needn't wait for that.
            log.error("segment_unreadable", segment=path.name, error=str(error))
    return new


def unshipped(directory: Path) -> Iterator[bytes]:
    """Give the records that the store may not have yet."""
    for path in [*directory.glob("*.ready"), *directory.glob("*.open")]:
        with contextlib.suppress(FileNotFoundError):  # shipped, or renamed and then shipped, since we looked
            yield from path.read_bytes().split(b"\n")[:-1]


def _ship_segment(path: Path, append: Append) -> int:
    new = 0
    with _claimed(path) as data:
        if data is None:
            return 0
        # What follows the last line break was cut off by a crash before its answer could end.
        lines = data.split(b"\n")[:-1]
        bad: list[bytes] = []
        for start in range(0, len(lines), BATCH):
            new += _append_good(lines[start : start + BATCH], append, bad)
        if bad:
            _set_aside(path.with_suffix(".bad"), bad)
        path.unlink()
    return new


def _append_good(lines: Sequence[bytes], append: Append, bad: list[bytes]) -> int:
    """Store ``lines``; halve a batch that can't be stored until the bad lines are alone, and add those to ``bad``."""
    try:
        return append(lines)
    except BadRecord:
        if len(lines) == 1:
            bad.append(lines[0])
            return 0
        middle = len(lines) // 2
        return sum(_append_good(half, append, bad) for half in (lines[:middle], lines[middle:]))


def _set_aside(path: Path, lines: Sequence[bytes]) -> None:
    """Keep ``lines`` in a file. A second attempt at their segment writes the same file again."""
    log.error("records_set_aside", file=path.name, records=len(lines))
    descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(line + b"\n" for line in lines))
        file.flush()
        os.fsync(descriptor)
    sync_directory(path.parent)


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[bytes | None]:
    """Hold the segment while shipping it; give None when somebody else does, or it has gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield path.read_bytes() if _hold(descriptor, path) else None
    finally:
        os.close(descriptor)


def _hold(descriptor: int, path: Path) -> bool:
    """Lock an open segment; tell whether it's ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between opening and locking, its writer may have handed it over, or a shipper removed it.
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _resolve(futures: "list[asyncio.Future[None]]", failure: Exception | None) -> None:
    """Let the waiting answers end, on their own event loop."""

    def settle() -> None:
        for future in futures:
            if future.done():
                continue
            if failure is None:
                future.set_result(None)
            else:
                future.set_exception(failure)
                future.exception()  # whose caller went away has nobody left to look at it

    with contextlib.suppress(RuntimeError):  # the loop is gone, and with it everybody who waited
        futures[0].get_loop().call_soon_threadsafe(settle)


def sync_directory(directory: Path) -> None:
    """Make a new name in ``directory`` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
