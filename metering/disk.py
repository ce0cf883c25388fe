"""Waiting for the disk without a thread: Linux tells the event loop when a file is synced.

A thread that syncs has to take turns with the event loop for Python's one lock, and costs a request more than the
sync itself. Where the kernel's asynchronous I/O isn't to be had (another system, a sandbox), a thread it is.
"""

import asyncio
import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog
from caio import linux_aio

AT_ONCE: Final = 4  # syncs under way; a journal has one
NEGATIVE: Final = 1 << 63  # the kernel's result comes without its sign
# What caio makes of the kernel's errors; AttributeError: it has nothing for this system.
REFUSED: Final = (AttributeError, OSError, OverflowError, SystemError, ValueError)

log = structlog.get_logger(__name__)


class Disk:
    """The disk, as one event loop waits for it. ``thread`` syncs where the kernel can't tell by itself."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = thread
        self._kernel: linux_aio.Context | None = None
        try:
            self._kernel = linux_aio.Context(max_requests=AT_ONCE)
        except REFUSED as error:
            log.info("syncing_in_a_thread", reason=str(error))
        else:
            self._loop.add_reader(self._kernel.fileno, self._look)

    async def sync(self, descriptor: int) -> None:
        """Wait until what was written to a file is on disk.

        Raises:
            OSError: when the disk won't.
        """
        synced = self._begin(descriptor)
        if synced is None:
            await self._loop.run_in_executor(self._thread, os.fdatasync, descriptor)
            return
        result = await synced
        if result >= NEGATIVE:
            error = 2 * NEGATIVE - result
            raise OSError(error, os.strerror(error))

    def close(self) -> None:
        """Stop listening."""
        if self._kernel:
            self._loop.remove_reader(self._kernel.fileno)
            self._kernel = None

    def _begin(self, descriptor: int) -> "asyncio.Future[int] | None":
        """Ask the kernel to sync; None where it doesn't do that."""
        if self._kernel is None:
            return None
        synced: asyncio.Future[int] = self._loop.create_future()

        def done(result: int) -> None:
            if not synced.done():
                synced.set_result(result)

        operation = linux_aio.Operation.fdsync(descriptor)
        operation.set_callback(done)
        try:
            self._kernel.submit(operation)
        except REFUSED as error:
            # Nothing was synced yet, so a thread's word on it is as good.
            log.info("syncing_in_a_thread", reason=str(error))
            self.close()
            return None
        return synced

    def _look(self) -> None:
        if self._kernel is None:
            return
        with contextlib.suppress(BlockingIOError):  # somebody else's turn has taken it already
            self._kernel.poll()
        self._kernel.process_events()
