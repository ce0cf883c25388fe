"""`make run`, as somebody starts it who has just cloned the project."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.backends import free_port

ROOT = Path(__file__).parents[2]
# What the tests' own process has set, and a fresh shell hasn't.
OURS = {
    *("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "DATABASE_URL", "METER_DATABASE_URL", "REDIS_URL", "EMAIL_URL"),
    *("HTTPS", "DEBUG", "VAR_DIR", "ALLOW_PRIVATE_ENDPOINTS", "ECHO_BASE_URL", "DJANGO_SETTINGS_MODULE"),
    *("MAKEFLAGS", "MAKELEVEL", "MFLAGS"),
}
PATIENCE = 30.0  # seconds, on a busy machine

Found = TypeVar("Found")


class TryingOut:
    """A running `make run` and what it printed."""

    def __init__(self, var_dir: Path) -> None:
        self.var_dir = var_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        self._process = subprocess.Popen(
            ["make", "run"],
            cwd=ROOT,
            env={**environment, "VAR_DIR": str(var_dir), "PORT": str(self.port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that Ctrl-C reaches make and what it started, and nobody else
        )
        self.printed = self._read_until("curl ")

    def _read_until(self, start: str) -> list[str]:
        assert self._process.stdout is not None
        lines: list[str] = []
        for line in self._process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith(start):
                return lines
        raise AssertionError("make run ended: " + "\n".join(lines))

    @property
    def curl(self) -> str:
        return self.printed[-1]

    def said(self, label: str) -> str:
        """Return what was printed after a label: ``Password``."""
        return next(line.split(label, 1)[1].strip() for line in self.printed if line.strip().startswith(label))

    def ctrl_c(self) -> str:
        """Stop it as its user would; return what was printed on the way."""
        os.killpg(self._process.pid, signal.SIGINT)
        rest, _errors = self._process.communicate()
        return rest


@contextmanager
def trying_out(var_dir: Path) -> Iterator[TryingOut]:
    running = TryingOut(var_dir)
    try:
        yield running
    finally:
        if running._process.poll() is None:
            running.ctrl_c()


def eventually(look: Callable[[], Found]) -> Found:
    """Look again and again until something is found."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found
