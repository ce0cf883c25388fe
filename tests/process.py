"""The real server as a process of its own, on a database and a journal that nobody else has.

def test_alex_is_answered(gateway_process):
    agent = gateway_process.agent("groq")          # made through the management API, like everything else here
    answer = ask(gateway_process.url, agent.token)
    [record] = gateway_process.records(agent)      # what is in Postgres, once the journal has been shipped
    assert record.tokens_input == 2
"""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.backends import free_port
from tests.echo import EchoServer

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0  # seconds, on a busy machine
KEY = "sk-compat-0123456789-wxyz"
MODELS = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5",
    "minimax": "MiniMax-M2.5",
    "groq": "llama-3.3-70b-versatile",
    "mistral": "mistral-small-latest",
    "openrouter": "openai/gpt-4o-mini",
    "custom": "llama3.2",
}


@dataclass(frozen=True)
class RunningAgent:
    """An agent of the process, and a token of its."""

    id: str
    provider: str
    model: str
    token: str


class GatewayProcess:
    """`make serve` on ``database`` and ``var_dir``, reaching every provider at ``echo``. Starts as often as asked.

    ``site`` is where the pages are, ``url`` what an OpenAI SDK takes; both outlive the process.
    """

    def __init__(self, echo: EchoServer, *, database: str, var_dir: Path, **environment: str) -> None:
        self.var_dir = var_dir
        self.port = free_port()
        self.site = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.site}/v1"
        self.env = {
            **os.environ,
            "DATABASE_URL": database,
            "METER_DATABASE_URL": "",
            "REDIS_URL": "",
            "VAR_DIR": str(var_dir),
            "PORT": str(self.port),
            "WORKERS": "1",
            "ALLOW_PRIVATE_ENDPOINTS": "true",
            **echo.environment(),
            **environment,
        }
        self._echo = echo
        self._process: subprocess.Popen[bytes] | None = None
        self._workspace_token = ""

    def start(self) -> None:
        """Start the server, tables migrated, and return once it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vutler.serve"], cwd=ROOT, env=self.env, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, f"the server ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"the server doesn't answer:\n{self.log()}"
            time.sleep(0.05)

    def kill(self) -> None:
        """End the server as a power cut would."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the server to stop, and wait until it has."""
        self._end(signal.SIGTERM)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """Return what the server has written so far."""
        return self._log.read_text() if self._log.exists() else ""

    def agent(self, provider: str, *, key: str = KEY) -> RunningAgent:
        """Make an agent that is answered by ``provider``, with a token."""
        place = {"base_url": self._echo.url("custom")} if provider == "custom" else {}
        model = MODELS[provider]
        asked = {"name": f"{provider} bot", "provider": provider, "model": model, "api_key": key, **place}
        made = self.manage("POST", "agents/", asked)
        token = self.manage("POST", f"agents/{made['id']}/tokens/", {})["token"]
        return RunningAgent(id=made["id"], provider=provider, model=model, token=token)

    def manage(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the management API something with a workspace token; return what it answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = {"authorization": f"Bearer {self._token_of_workspace()}", "content-type": "application/json"}
        try:
            connection.request(method, f"/api/v1/{path}", headers=headers, body=json.dumps(body) if body else None)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        assert response.status < 300, (response.status, data)
        return json.loads(data) if data else None

    def records(self, agent: RunningAgent | None = None, *, count: int = 0) -> list[Any]:
        """Return the meter's records (of ``agent``, oldest first) once the journal is empty and ``count`` are there.

        The record of an answer is in the journal before the answer ends, so none of those can be missing. For
        requests that end otherwise, say how many to wait for.
        """
        deadline = time.monotonic() + PATIENCE
        with psycopg.connect(self.env["DATABASE_URL"], autocommit=True) as database:
            while True:
                shipped = not any((self.var_dir / "journal").iterdir())
                rows = _records(database, agent)
                if shipped and len(rows) >= count:
                    return rows
                assert time.monotonic() < deadline, f"{len(rows)} records, journal empty: {shipped}\n{self.log()}"
                time.sleep(0.02)

    def run(self, *command: str) -> str:
        """Run a management command beside the server; return what it printed."""
        ran = subprocess.run(
            [sys.executable, "manage.py", *command], cwd=ROOT, env=self.env, check=True, stdout=subprocess.PIPE
        )
        return ran.stdout.decode()

    @property
    def _log(self) -> Path:
        return self.var_dir / "server.log"

    def _token_of_workspace(self) -> str:
        if not self._workspace_token:
            made = self.run("create_workspace", "Alex & Co", "--owner", "alex@alex.example", "--json")
            self._workspace_token = json.loads(made)["token"]
        return self._workspace_token

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)


def _records(database: "psycopg.Connection[Any]", agent: RunningAgent | None) -> list[Any]:
    with database.cursor(row_factory=namedtuple_row) as cursor:
        cursor.execute(
            "SELECT * FROM metering_usagerecord WHERE agent_id = %(agent)s::uuid OR %(agent)s::uuid IS NULL"
            " ORDER BY timestamp, id",
            {"agent": agent.id if agent else None},
        )
        return cursor.fetchall()


@contextmanager
def fresh_database(server: str = "") -> Iterator[str]:
    """Make a database on the tests' Postgres (or the one at ``server``) with empty tables; return its address.

    It is dropped after. The tables are made once, and copied.
    """
    server = server or os.environ["DATABASE_URL"]
    name = f"process_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as database:
        _migrate_once(database, f"{server.rpartition('/')[0]}/migrating")
        database.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            database.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _migrate_once(database: "psycopg.Connection[Any]", address: str) -> None:
    """Make the database that all others are copies of, whichever test comes first."""
    database.execute("SELECT pg_advisory_lock(1)")
    try:
        if database.execute("SELECT 1 FROM pg_database WHERE datname = 'migrated'").fetchone():
            return
        database.execute("CREATE DATABASE migrating TEMPLATE template0")
        env = {**os.environ, "DATABASE_URL": address, "METER_DATABASE_URL": ""}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=env, check=True)
        database.execute("ALTER DATABASE migrating RENAME TO migrated")
    finally:
        database.execute("SELECT pg_advisory_unlock(1)")


@contextmanager
def running_gateway(echo: EchoServer, var_dir: Path, **environment: str) -> Iterator[GatewayProcess]:
    """Start a server of one's own, to be treated as badly as one likes."""
    with fresh_database() as database:
        gateway = GatewayProcess(echo, database=database, var_dir=var_dir, **environment)
        try:
            gateway.start()
            yield gateway
        finally:
            gateway.terminate()
            shutil.rmtree(var_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def gateway_process(echo_server: EchoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A server that all who ask nothing unusual of it share: make an agent of your own, and look at its records."""
    with running_gateway(echo_server, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway
