"""A ZIP that leaves while it is written: as large as it likes, with nothing of it in memory or on disk for long."""

import io
from collections.abc import Iterable, Iterator
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile

AT_ONCE: Final = 64 * 1024  # bytes

Files = Iterable[tuple[str, Iterable[bytes]]]


class _Outlet(io.RawIOBase):
    """Where the ZIP is written to: keeps bytes until they are taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        """Tell that it takes bytes; where it is can't be asked, so nothing written is ever changed."""
        return True

    def write(self, data: Any) -> int:
        """Keep bytes."""
        part = bytes(data)
        self._parts.append(part)
        self.size += len(part)
        return len(part)

    def take(self) -> bytes:
        """Return what was kept since the last time."""
        parts, self._parts, self.size = self._parts, [], 0
        return b"".join(parts)


def zipped(files: Files) -> Iterator[bytes]:
    """Give a ZIP of files, each with its name and its content in parts."""
    outlet = _Outlet()
    with ZipFile(outlet, "w", ZIP_DEFLATED) as archive:
        for name, content in files:
            with archive.open(name, "w", force_zip64=True) as file:
                for part in content:
                    file.write(part)
                    if outlet.size > AT_ONCE:
                        yield outlet.take()
    yield outlet.take()
