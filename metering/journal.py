"""The journal: a record is on disk before its answer ends, and reaches the store exactly once.

Records are appended to a segment, a file of JSON lines that one process holds locked. What has gathered is written
and synced to disk in one go (group commit), and then the waiting answers end. Every half second the segment is closed
and becomes *ready*; a thread ships ready segments to the store and removes them. While the store is away they gather
on disk. A process that dies leaves a segment without a lock behind, which the next one to look adopts. Shipping twice
is harmless: the store knows the ids.

    NAME.open    being written, locked by its writer
    NAME.ready   complete, waiting for the store
    NAME.bad     lines that the store can't ever hold, kept for a person to look at
"""

import asyncio
import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

import structlog
from django.db import connections

from metering.disk import Disk
from metering.store.base import BadRecord, StoreUnavailable

ROTATE_AFTER: Final = 0.5  # seconds
GATHER_FOR: Final = 0.005  # seconds, so that requests that end together share one sync
ROTATE_AT: Final = 8 * 1024 * 1024  # bytes
BATCH: Final = 2_000  # records in one statement
ADOPT_EVERY: Final = 5.0  # seconds
LONGEST_PAUSE: Final = 5.0  # seconds between attempts while the store is away

log = structlog.get_logger(__name__)

Append = Callable[[Sequence[bytes]], int]
Waiting = list[tuple[bytes, "asyncio.Future[None]"]]
T = TypeVar("T")


class JournalClosed(Exception):
    """The process is going down; nothing more is taken."""


class Journal:
    """One process's journal, in its event loop. Threads do what may take long: begin and end files, and ship."""

    def __init__(self, directory: Path, *, append: Append) -> None:
        """Use ``directory`` (made if need be, shared by all processes) and ship with ``append``."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._append = append
        self._gathering: Waiting = []
        self._handed_over: Waiting = []
        self._news = asyncio.Event()  # something was handed over, or a segment is due
        self._writing: asyncio.Task[None] | None = None
        self._files = ThreadPoolExecutor(1, thread_name_prefix="journal-files")
        self._closing = False
        self._ship = threading.Event()
        self._written = threading.Event()  # the last segment is ready
        self._shipping = threading.Thread(target=self._ship_forever, name="journal-ship", daemon=True)
        self.waiting = 0  # records that aren't on disk yet
        self.store_failures = 0

    def start(self) -> None:
        """Begin to write, in the event loop that runs, and to ship; adopt what a dead process left."""
        self._writing = asyncio.get_running_loop().create_task(self._write_forever())
        self._ship.set()
        self._shipping.start()

    def write(self, line: bytes, *, to_come: int = 0) -> "asyncio.Future[None]":
        """Take a record (JSON, no line break); the future is done when it's on disk, or failed if it can't be.

        The record is taken even if nobody waits for the future. It waits for company, ``GATHER_FOR`` at most, until
        half of all that are here have gathered: records that aren't on disk yet, and requests whose are ``to_come``.
        The one half is synced while the other is answered.

        Raises:
            JournalClosed: after :meth:`close`.
        """
        if self._closing:
            raise JournalClosed
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._gathering.append((line, done))
        self.waiting += 1
        gathered = len(self._gathering)
        if gathered * 2 >= to_come + self.waiting:
            self._hand_over()
        elif gathered == 1:
            loop.call_later(GATHER_FOR, self._gathered, self._gathering)
        return done

    async def close(self, *, within: float = 10.0) -> None:
        """Write what was taken, try for ``within`` seconds to ship it, and stop. What is left stays on disk."""
        self._closing = True
        self._hand_over()
        if self._writing:
            await asyncio.wait([self._writing])
            await asyncio.to_thread(self._shipping.join, within)

    def _gathered(self, batch: Waiting) -> None:
        """Hand a batch over that has waited for long enough, if it is still here."""
        if batch is self._gathering:
            self._hand_over()

    def _hand_over(self) -> None:
        self._handed_over += self._gathering
        self._gathering = []
        self._news.set()

    # --- writing --------------------------------------------------------------------------------

    async def _write_forever(self) -> None:
        disk = Disk(self._files)
        segment: Segment | None = None
        batch: Waiting = []
        try:
            while not self._closing or self._handed_over:
                await self._news.wait()
                self._news.clear()
                batch, self._handed_over = self._handed_over, []
                if batch:
                    segment = await self._commit(segment, batch, disk)
                    batch = []
                if segment and (segment.due or self._closing):
                    await self._in_thread(segment.finish)
                    segment = None
                    self._ship.set()
        except asyncio.CancelledError:
            # The event loop ends, and nobody closed the journal. What is written twice is stored once.
            self._closing = True
            self._write_at_last(segment, batch + self._handed_over + self._gathering)
            raise
        finally:
            disk.close()
            self._files.shutdown(wait=False)
            self._written.set()
            self._ship.set()

    async def _commit(self, segment: "Segment | None", batch: Waiting, disk: Disk) -> "Segment | None":
        """Put a batch on disk and let its answers end; return the segment for the next one."""
        lines = [line for line, _done in batch]
        failure: Exception | None = None
        try:
            if segment is None:
                segment = await self._in_thread(Segment.create, self._directory)
                asyncio.get_running_loop().call_later(ROTATE_AFTER, self._rotate, segment)
            await segment.write(lines, disk)
        except Exception as error:  # whatever it is, the journal must live: all later answers wait for it
            log.error("journal_unwritable", error=str(error), records=len(lines))
            if segment:
                await self._in_thread(segment.finish)
                segment = None
            failure = await self._in_thread(self._straight_to_store, lines, error)
        self.waiting -= len(batch)
        for _line, done in batch:
            _settle(done, failure)
        return segment

    def _straight_to_store(self, lines: list[bytes], error: Exception) -> Exception | None:
        # No disk to write to: the store itself is the next best place that survives a crash.
        try:
            for start in range(0, len(lines), BATCH):
                self._append(lines[start : start + BATCH])
        except Exception as worse:
            log.error("store_unwritable_too", error=type(worse).__name__, records=len(lines))
            return error
        finally:
            connections.close_all()
        return None

    def _rotate(self, segment: "Segment") -> None:
        segment.due = True
        self._news.set()

    def _write_at_last(self, segment: "Segment | None", batch: Waiting) -> None:
        """Write what nobody waits for any more."""
        if batch:
            segment = segment or Segment.create(self._directory)
            segment.append([line for line, _done in batch])
        if segment:
            segment.finish()

    def _in_thread(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._files, function, *args)

    # --- shipping -------------------------------------------------------------------------------

    def _ship_forever(self) -> None:
        pause = 0.0
        while not self._written.is_set():
            # A store that is away gets its rest, however many segments become ready meanwhile.
            if pause:
                self._written.wait(pause)
            else:
                self._ship.wait(ADOPT_EVERY)
            self._ship.clear()
            pause = self._ship_once(pause)
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
        self.due = False  # it's time to hand it over

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

    async def write(self, lines: Sequence[bytes], disk: Disk) -> None:
        """Append ``lines`` and wait until the disk has them.

        Raises:
            OSError: when the disk won't; the segment is then as it was before.
        """
        size = self._size
        self.append(lines)
        try:
            await disk.sync(self._descriptor)
        except OSError:
            self._cut(size)
            raise

    def append(self, lines: Sequence[bytes]) -> None:
        """Append ``lines``, which are then safe from the process's end, but not yet from the machine's.

        Raises:
            OSError: when there is no room; the segment is then as it was before.
        """
        data = b"\n".join(lines) + b"\n"
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            self._cut(self._size)
            raise
        self._size += len(data)
        self.due = self.due or self._size >= ROTATE_AT

    def _cut(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        self._size = size

    def finish(self) -> None:
        """Hand the segment over to whoever ships."""
        # Where it can't be renamed, it is adopted like a dead process's, once it's closed.
        with contextlib.suppress(OSError):
            self._path.rename(self._path.with_suffix(".ready"))
        # It is closed even where closing tells of an error; what was synced is on disk.
        with contextlib.suppress(OSError):
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


def _settle(done: "asyncio.Future[None]", failure: Exception | None) -> None:
    """Let a waiting answer end."""
    if done.done():
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)
        done.exception()  # whose caller went away has nobody left to look at it


def sync_directory(directory: Path) -> None:
    """Make a new name in ``directory`` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
