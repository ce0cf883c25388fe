"""The journal: what it takes is on disk, and reaches the store once, whatever dies or is away meanwhile."""

import asyncio
import errno
import fcntl
import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from metering import journal as module
from metering.disk import Disk
from metering.journal import Journal, JournalClosed, Segment, ship
from metering.store.base import BadRecord, StoreUnavailable

ROOT = Path(__file__).parents[2]


class Shelf:
    """A store in memory. It can be away, and refuses whatever batch has a line with ``bad`` in it."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.batches: list[int] = []
        self.attempts = 0
        self.away = False
        self._changed = threading.Condition()

    def append(self, lines) -> int:
        with self._changed:
            self.attempts += 1
            self._changed.notify_all()
            if self.away:
                raise StoreUnavailable("away")
            if any(b"bad" in line for line in lines):
                raise BadRecord("bad")
            new = [line for line in lines if line not in self.lines]
            self.lines += new
            self.batches.append(len(lines))
            return len(new)

    async def holds(self, count: int) -> None:
        await self._until(lambda: len(self.lines) >= count)

    async def asked(self, times: int) -> None:
        await self._until(lambda: self.attempts >= times)

    async def _until(self, true: Callable[[], bool]) -> None:
        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(true, timeout=20)

        assert await asyncio.to_thread(wait)


def lines(count: int, *, start: int = 0) -> list[bytes]:
    return [b'{"id": %d}' % number for number in range(start, start + count)]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
async def journal(directory, shelf):
    journal = Journal(directory, append=shelf.append)
    journal.start()
    yield journal
    await journal.close()


def left(directory: Path) -> list[str]:
    """What kinds of file are left."""
    return sorted(path.suffix for path in directory.iterdir())


def segment(directory: Path, content: bytes, *, name: str = "1.ready") -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_bytes(content)
    return path


def full_disk(monkeypatch, directory: Path, *, after: int = 0) -> None:
    """Make the disk full once so many more bytes are written into ``directory``."""
    write, room = os.write, [after]

    def limited(descriptor, data) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink().parent != directory:
            return write(descriptor, data)
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, bytes(data)[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", limited)


# --- Taking and shipping --------------------------------------------------------------------------


async def test_a_record_is_on_disk_when_its_future_is_done_and_in_the_store_a_moment_later(journal, directory, shelf):
    await journal.write(b'{"id": 1}')
    on_disk = b"".join(path.read_bytes() for path in directory.iterdir())
    assert on_disk == b'{"id": 1}\n' or shelf.lines
    await shelf.holds(1)
    assert shelf.lines == [b'{"id": 1}']


async def test_records_that_come_together_share_one_sync(journal, shelf, monkeypatch):
    syncs: list[int] = []
    sync = Disk.sync

    async def counted(disk: Disk, descriptor: int) -> None:
        syncs.append(descriptor)
        await sync(disk, descriptor)

    monkeypatch.setattr(Disk, "sync", counted)
    await asyncio.gather(*map(journal.write, lines(500)))
    assert len(syncs) < 50
    await shelf.holds(500)
    assert shelf.lines == lines(500)


async def test_nobody_needs_to_wait_for_a_record_to_be_kept(journal, shelf):
    journal.write(b'{"id": 1}').cancel()
    journal.write(b'{"id": 2}')
    await shelf.holds(2)


async def test_a_segment_that_grew_is_handed_over(journal, directory, shelf, monkeypatch):
    monkeypatch.setattr(module, "ROTATE_AT", 50)
    monkeypatch.setattr(module, "ROTATE_AFTER", 3600)
    shelf.away = True
    for number in range(12):
        await journal.write(b'{"id": %d, "of": "Alex"}' % number)
    await shelf.asked(1)
    assert left(directory).count(".ready") >= 3
    shelf.away = False
    await journal.close()
    assert len(shelf.lines) == 12
    assert left(directory) == []


async def test_more_than_a_batch_is_stored_in_batches(directory, shelf, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 100)
    segment(directory, b"\n".join(lines(250)) + b"\n")
    assert ship(directory, append=shelf.append) == 250
    assert (shelf.batches, shelf.lines) == ([100, 100, 50], lines(250))


async def test_what_is_shipped_again_is_not_new(directory, shelf):
    for _ in range(2):
        segment(directory, b"\n".join(lines(10)) + b"\n")
        ship(directory, append=shelf.append)
    assert shelf.lines == lines(10)


# --- Closing --------------------------------------------------------------------------------------


async def test_closing_writes_and_ships_what_was_taken(journal, directory, shelf):
    waiting = [journal.write(line) for line in lines(100)]
    await journal.close()
    assert shelf.lines == lines(100)
    assert left(directory) == []
    await asyncio.gather(*waiting)
    with pytest.raises(JournalClosed):
        journal.write(b"{}")


async def test_closing_while_the_store_is_away_leaves_everything_on_disk(journal, directory, shelf):
    shelf.away = True
    await asyncio.gather(*map(journal.write, lines(100)))
    await journal.close()
    assert shelf.lines == []
    assert set(left(directory)) == {".ready"}
    shelf.away = False
    assert ship(directory, append=shelf.append) == 100


async def test_what_comes_in_while_closing_is_either_refused_or_kept(directory):
    for turns in range(20):
        shelf = Shelf()
        journal = Journal(directory, append=shelf.append)
        journal.start()
        taken = [(line, journal.write(line)) for line in lines(20)]
        closing = asyncio.create_task(journal.close())
        for line in lines(turns, start=20):
            await asyncio.sleep(0)
            try:
                taken.append((line, journal.write(line)))
            except JournalClosed:
                break
        await closing
        await asyncio.gather(*[done for _line, done in taken])
        assert shelf.lines == [line for line, _done in taken]


@pytest.mark.parametrize("turns", range(12))
def test_an_event_loop_that_ends_early_writes_and_ships_what_was_taken(directory, shelf, turns):
    async def leave() -> None:
        journal = Journal(directory, append=shelf.append)
        journal.start()
        for line in lines(10):
            journal.write(line)
        for _turn in range(turns):
            await asyncio.sleep(0)

    asyncio.run(leave())
    asyncio.run(shelf.holds(10))
    assert shelf.lines == lines(10)


async def test_a_journal_that_was_never_started_closes(directory, shelf):
    await Journal(directory, append=shelf.append).close()


async def test_no_file_stays_open(directory, shelf):
    journal = Journal(directory, append=shelf.append)
    journal.start()
    for batch in range(5):
        await asyncio.gather(*map(journal.write, lines(20, start=20 * batch)))
    await journal.close()
    open_files = [each.readlink() for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    assert not [path for path in open_files if path.is_relative_to(directory)]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("journal")]


# --- Dying ----------------------------------------------------------------------------------------

WRITER = """
import asyncio, sys
from pathlib import Path
import django
django.setup()
from metering.journal import Journal
from metering.store.base import StoreUnavailable

def away(lines):
    raise StoreUnavailable

async def main():
    journal = Journal(Path(sys.argv[1]), append=away)
    journal.start()
    number = 0
    while True:
        await asyncio.gather(*[journal.write(b'{"id": %d}' % (number + each)) for each in range(20)])
        number += 20
        print(number, flush=True)

asyncio.run(main())
"""


async def test_what_a_killed_process_had_acknowledged_is_adopted_whole_and_once(directory, shelf):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory)],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "vutler.settings"},
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    acknowledged = 0
    while acknowledged < 400:
        acknowledged = int(process.stdout.readline())
    # Alive, its open segment isn't touched.
    ship(directory, append=shelf.append)
    assert ".open" in left(directory)
    process.send_signal(signal.SIGKILL)
    rest = process.communicate()[0].split()
    acknowledged = int(rest[-1]) if rest else acknowledged
    ship(directory, append=shelf.append)
    stored = [json.loads(line)["id"] for line in shelf.lines]
    assert len(stored) == len(set(stored))
    assert set(range(acknowledged)) <= set(stored)
    assert left(directory) == []


async def test_a_starting_process_adopts_what_a_dead_one_left_at_once(directory, shelf):
    segment(directory, b"\n".join(lines(3)) + b"\n", name="1.open")
    journal = Journal(directory, append=shelf.append)
    journal.start()
    await shelf.holds(3)
    await journal.close()
    assert left(directory) == []


async def test_a_line_that_was_cut_off_is_left_out(directory, shelf):
    segment(directory, b'{"id": 0}\n{"id": 1}\n{"id"', name="1.open")
    assert ship(directory, append=shelf.append) == 2
    assert shelf.lines == lines(2)
    assert left(directory) == []


async def test_a_segment_adopted_between_its_birth_and_its_lock_is_begun_anew(directory, shelf, monkeypatch):
    directory.mkdir()
    real = module._hold
    adopted: list[Path] = []

    def late(descriptor: int, path: Path) -> bool:
        if path.suffix == ".open" and not adopted:
            adopted.append(path)
            ship(directory, append=shelf.append)  # finds it, empty and without a lock
            assert not path.exists()
        return real(descriptor, path)

    monkeypatch.setattr(module, "_hold", late)
    begun = Segment.create(directory)
    begun.append(lines(1))
    begun.finish()
    assert ship(directory, append=shelf.append) == 1
    assert left(directory) == []


async def test_two_who_ship_at_once_do_not_ship_the_same(directory, shelf):
    segment(directory, b"\n".join(lines(10)) + b"\n")
    inside, go_on = threading.Event(), threading.Event()

    def slowly(batch):
        inside.set()
        assert go_on.wait(20)
        return shelf.append(batch)

    first = asyncio.create_task(asyncio.to_thread(ship, directory, append=slowly))
    await asyncio.to_thread(inside.wait, 20)
    assert ship(directory, append=shelf.append) == 0
    go_on.set()
    assert await first == 10
    assert shelf.batches == [10]


# --- The store is away, or refuses ----------------------------------------------------------------


async def test_while_the_store_is_away_nothing_is_lost_and_the_order_is_kept(journal, shelf, monkeypatch):
    monkeypatch.setattr(module, "ROTATE_AFTER", 0.01)
    shelf.away = True
    for number in range(10):
        await journal.write(b'{"id": %d}' % number)
        await shelf.asked(min(number, 2))
    shelf.away = False
    await shelf.holds(10)
    assert shelf.lines == lines(10)


async def test_a_store_that_is_away_is_asked_less_and_less_however_much_waits(journal, shelf, monkeypatch):
    monkeypatch.setattr(module, "ROTATE_AT", 1)  # every write makes a segment ready
    shelf.away = True
    await journal.write(b'{"id": 0}')
    await shelf.asked(1)
    for number in range(1, 50):
        await journal.write(b'{"id": %d}' % number)
    assert shelf.attempts <= 2


async def test_a_bad_record_is_set_aside_and_the_others_are_stored(directory, shelf):
    content = [*lines(5), b'{"bad": 1}', *lines(5, start=5), b'{"bad": 2}']
    segment(directory, b"\n".join(content) + b"\n")
    assert ship(directory, append=shelf.append) == 10
    assert shelf.lines == lines(10)
    [bad] = directory.iterdir()
    assert bad.name == "1.bad"
    assert bad.read_bytes() == b'{"bad": 1}\n{"bad": 2}\n'
    assert bad.stat().st_mode & 0o777 == 0o600
    assert ship(directory, append=shelf.append) == 0


async def test_a_bad_record_is_set_aside_once_though_the_store_went_away_after_it(directory, shelf, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 1)
    segment(directory, b'{"bad": 1}\n{"id": 0}\n')

    def away_for_good_ones(batch):
        shelf.away = b"bad" not in batch[0]
        return shelf.append(batch)

    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            ship(directory, append=away_for_good_ones)
    shelf.away = False
    assert ship(directory, append=shelf.append) == 1
    assert (directory / "1.bad").read_bytes() == b'{"bad": 1}\n'


async def test_a_segment_that_cannot_be_read_does_not_hold_up_the_others(directory, shelf):
    segment(directory, b"", name="1.ready").unlink()
    (directory / "1.ready").mkdir()
    segment(directory, b"\n".join(lines(3)) + b"\n", name="2.ready")
    assert ship(directory, append=shelf.append) == 3
    assert [path.name for path in directory.iterdir()] == ["1.ready"]


async def test_shipping_survives_whatever_goes_wrong_in_it(directory, shelf, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.01)
    failures = [RuntimeError("surprise"), MemoryError()]

    def surprising(batch):
        if failures:
            raise failures.pop()
        return shelf.append(batch)

    journal = Journal(directory, append=surprising)
    journal.start()
    await journal.write(b'{"id": 0}')
    await shelf.holds(1)
    await journal.close()


# --- The disk is full -----------------------------------------------------------------------------


async def test_on_a_full_disk_records_go_straight_to_the_store(journal, directory, shelf, monkeypatch):
    full_disk(monkeypatch, directory)
    await asyncio.gather(*map(journal.write, lines(10)))
    assert shelf.lines == lines(10)
    await journal.close()
    assert left(directory) == []


async def test_what_could_not_be_synced_goes_straight_to_the_store(journal, directory, shelf, monkeypatch):
    async def fails(_disk: Disk, _descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    await journal.write(b'{"id": 0}')
    with monkeypatch.context() as patch:
        patch.setattr(Disk, "sync", fails)
        await journal.write(b'{"id": 1}')
        assert b'{"id": 1}' in shelf.lines
    await journal.write(b'{"id": 2}')
    await journal.close()
    assert sorted(shelf.lines) == lines(3)
    assert left(directory) == []


async def test_a_write_that_fails_in_the_middle_leaves_the_lines_before_it_whole(
    journal, directory, shelf, monkeypatch
):
    monkeypatch.setattr(module, "ROTATE_AFTER", 3600)
    await journal.write(b'{"id": 0}')
    with monkeypatch.context() as patch:
        full_disk(patch, directory, after=4)
        shelf.away = True
        with pytest.raises(OSError, match="No space left"):
            await journal.write(b'{"id": 1}')
    [kept] = directory.iterdir()
    assert kept.read_bytes() == b'{"id": 0}\n'
    shelf.away = False
    await journal.write(b'{"id": 2}')
    await journal.close()
    assert sorted(shelf.lines) == [b'{"id": 0}', b'{"id": 2}']


async def test_with_disk_and_store_both_gone_the_caller_hears_of_it_and_later_ones_are_served(
    journal, directory, shelf, monkeypatch
):
    shelf.away = True
    with monkeypatch.context() as patch:
        full_disk(patch, directory)
        with pytest.raises(OSError, match="No space left"):
            await journal.write(b'{"id": 0}')
        patch.setattr(journal, "_append", lambda _lines: 1 / 0)
        with pytest.raises(OSError, match="No space left"):
            await journal.write(b'{"id": 1}')
    shelf.away = False
    await journal.write(b'{"id": 2}')
    await shelf.holds(1)


async def test_a_failure_that_nobody_waits_for_makes_no_noise(journal, directory, shelf, monkeypatch):
    noise = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: noise.append(context))
    shelf.away = True
    full_disk(monkeypatch, directory)
    forgotten = journal.write(b'{"id": 0}')
    with pytest.raises(OSError, match="No space left"):
        await journal.write(b'{"id": 1}')
    assert forgotten.done()
    del forgotten
    gc.collect()
    assert noise == []


@pytest.mark.parametrize("broken", ["flock", "fsync"])
async def test_a_segment_that_cannot_be_begun_leaves_nothing_behind(directory, monkeypatch, broken):
    directory.mkdir()

    def fails(*_arguments) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl if broken == "flock" else os, broken, fails)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="broken"):
        Segment.create(directory)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert left(directory) == []


async def test_a_directory_that_was_removed_costs_no_record(journal, directory, shelf):
    directory.rmdir()
    await journal.write(b'{"id": 0}')
    assert shelf.lines == lines(1)
