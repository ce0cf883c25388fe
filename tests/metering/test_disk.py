"""Waiting for the disk: by the kernel's word, or where it gives none, in a thread."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from metering import disk as module
from metering.disk import Disk


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, thread_name_prefix="sync") as thread:
        yield thread


@pytest.fixture
def written(tmp_path: Path) -> Iterator[int]:
    """A file with something in it that isn't synced."""
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"a record\n")
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def by_thread(monkeypatch) -> list[str]:
    """The threads that synced, by name."""
    names: list[str] = []
    sync = os.fdatasync

    def noted(descriptor: int) -> None:
        names.append(threading.current_thread().name)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted)
    return names


class Kernel:
    """What the kernel's side looks like to us: takes a sync, and says that it came to ``result``."""

    result: int | Exception = 0

    def __init__(self, max_requests: int) -> None:
        assert max_requests
        self.fileno, self._end = os.pipe()
        self._done: list[Callable[[int], None]] = []

    def submit(self, operation: SimpleNamespace) -> int:
        if isinstance(self.result, Exception):
            raise self.result
        self._done += operation.callbacks
        return os.write(self._end, b"1")

    def poll(self) -> int:
        return len(os.read(self.fileno, 1))

    def process_events(self) -> int:
        assert isinstance(self.result, int)
        for done in self._done:
            done(self.result)
        return len(self._done)


class Operation:
    @staticmethod
    def fdsync(_descriptor: int) -> SimpleNamespace:
        callbacks: list[Callable[[int], None]] = []
        return SimpleNamespace(callbacks=callbacks, set_callback=callbacks.append)


async def test_the_kernel_tells_when_a_file_is_synced_and_no_thread_waits_for_it(thread, written, by_thread):
    disk = Disk(thread)
    await disk.sync(written)
    await disk.sync(written)
    disk.close()
    assert by_thread == []


async def test_what_the_kernel_refuses_to_take_a_thread_syncs(thread, written, by_thread, monkeypatch):
    monkeypatch.setattr(Kernel, "result", SystemError(errno.ENOSYS, "Function not implemented"))
    monkeypatch.setattr(module, "linux_aio", SimpleNamespace(Context=Kernel, Operation=Operation))
    disk = Disk(thread)
    await disk.sync(written)
    await disk.sync(written)
    disk.close()
    assert by_thread == ["sync_0", "sync_0"]


async def test_on_another_system_a_thread_syncs(thread, written, by_thread, monkeypatch):
    monkeypatch.setattr(module, "linux_aio", None)
    disk = Disk(thread)
    await disk.sync(written)
    disk.close()
    assert by_thread == ["sync_0"]


async def test_where_the_disk_will_not_it_is_said_and_not_tried_again(thread, written, by_thread, monkeypatch):
    # A second sync after one that failed succeeds, though what was written is gone.
    monkeypatch.setattr(Kernel, "result", 2**64 - errno.EIO)
    monkeypatch.setattr(module, "linux_aio", SimpleNamespace(Context=Kernel, Operation=Operation))
    disk = Disk(thread)
    with pytest.raises(OSError, match="Input/output error"):
        await disk.sync(written)
    disk.close()
    assert by_thread == []
