"""The gateway in the test's own event loop: real client, real journal, agents made of values."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents.crypto import Secret
from agents.tokens import digest
from llm.asgi import GatewayApp
from llm.client import Upstream
from llm.gateway import Gateway, Observer
from llm.idempotency import DatabaseKeys, Keys, Once
from llm.limits import LocalLimits
from llm.owners import Owners
from llm.pool import Arrangement, Pool
from llm.providers.base import SavedKey, Target
from llm.routing import Key, PoolRoute
from llm.snapshot import AgentSnapshot, PlanSnapshot, Snapshots
from metering.journal import Journal

TOKEN = "vtl_agent_of-alex"
AGENT = "0199aaaa-0000-7000-8000-00000000000a"
WORKSPACE = "0199aaaa-0000-7000-8000-00000000000b"


@dataclass
class Answered:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    ended: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[Any]:
        """The data of a stream's events, JSON decoded, ``[DONE]`` as it is."""
        data = [event.removeprefix("data: ") for event in self.body.decode().split("\n\n")]
        return [each if each == "[DONE]" else json.loads(each) for each in data if each and each[0] != ":"]

    def text(self) -> str:
        return "".join(c["delta"].get("content") or "" for e in self.events()[:-1] for c in e["choices"])


class Caller:
    """Calls the gateway as an HTTP server would, and may leave at any point."""

    def __init__(self, app: GatewayApp) -> None:
        self._app = app

    async def __call__(
        self,
        body: Any,
        *,
        path: str = "/v1/chat/completions",
        method: str = "POST",
        token: str | None = TOKEN,
        headers: dict[str, str] | None = None,
        leave_after: int | None = None,
        leave: asyncio.Event | None = None,
    ) -> Answered:
        """Send ``body`` (JSON, or bytes as they are); go away after so many chunks, or once ``leave`` is set."""
        answered = Answered()
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        leave = leave or asyncio.Event()
        sent = [{"type": "http.request", "body": raw, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if sent:
                return sent.pop()
            await leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answered.status = message["status"]
                answered.headers = {name.decode(): value.decode() for name, value in message["headers"]}
                return
            if message["body"]:
                answered.chunks.append(message["body"])
            answered.ended = not message.get("more_body")
            if leave_after is not None and len(answered.chunks) >= leave_after:
                leave.set()

        sent_headers = {"content-type": "application/json", **(headers or {})}
        if token is not None:
            sent_headers["authorization"] = f"Bearer {token}"
        scope = {
            "type": "http",
            "path": path,
            "method": method,
            "headers": [(name.encode(), value.encode()) for name, value in sent_headers.items()],
        }
        await self._app(scope, receive, send)
        return answered


@dataclass
class Arranged:
    """What staff arranged: routes by tier, and keys (id, provider, places)."""

    routes: dict[str, list[PoolRoute]] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)

    def tier(self, tier: str, *ways: tuple[str, str]) -> None:
        """Give a tier its routes, and each of their providers a key named after it."""
        self.routes[tier] = [PoolRoute(provider=provider, model=model) for provider, model in ways]
        for provider, _model in ways:
            self.key(f"{provider}-1", provider)

    def key(self, key_id: str, provider: str, *, weight: int = 1, places: int = 1_000) -> None:
        self.keys.append(Key(id=key_id, provider=provider, weight=weight, places=places))

    def arrangement(self) -> Arrangement:
        secrets = {key.id: Secret(f"sk-pool-{key.id}-0123456789") for key in self.keys}
        return Arrangement(
            routes={tier: tuple(ways) for tier, ways in self.routes.items()}, keys=tuple(self.keys), secrets=secrets
        )


@dataclass
class House:
    """A gateway, its agents by token, and what the meter has been given."""

    call: Caller
    gateway: Gateway
    agents: dict[str, AgentSnapshot | None]
    lines: list[bytes]
    journal: Journal
    arranged: "Arranged"
    pool: Pool
    used: dict[str, int]

    async def records(self) -> list[dict[str, Any]]:
        """What the store has been sent, once the journal is closed."""
        await self.journal.close()
        return [json.loads(line) for line in self.lines]

    async def record(self) -> dict[str, Any]:
        """The one record that there must be."""
        [record] = await self.records()
        return record


def agent(
    provider: str,
    base_url: str,
    *,
    model: str = "gpt-4o-mini",
    key: str = "sk-alex-0123456789-wxyz",
    saved: SavedKey | None = None,
    backup: Target | None = None,
) -> AgentSnapshot:
    target = Target(provider=provider, model=model, base_url=base_url, key=Secret(key), saved=saved)
    return AgentSnapshot(
        agent_id=AGENT, workspace_id=WORKSPACE, mode="byokey", paused=False, target=target, backup=backup
    )


def on_plan(tier: str = "economy", *, most_tokens: int = 10**9, marks: tuple[int, ...] = ()) -> AgentSnapshot:
    plan = PlanSnapshot(tier=tier, most_tokens=most_tokens, list_per_million=Decimal("5.00"), marks=marks)
    return AgentSnapshot(agent_id=AGENT, workspace_id=WORKSPACE, mode="managed", paused=False, target=None, plan=plan)


@pytest.fixture
def keys() -> Keys:
    """Where idempotency keys are remembered."""
    return DatabaseKeys()


@pytest.fixture
def observers() -> list[Observer]:
    """Who else is told of every request."""
    return []


@pytest.fixture
def owners_told() -> list[int | None]:
    """The tokens whose owners were told of them; None for a refusal at the ceiling."""
    return []


@pytest.fixture
async def house(
    tmp_path: Path, echo, keys: Keys, observers: list[Observer], owners_told: list[int | None]
) -> AsyncIterator[House]:
    """A gateway whose one agent, Alex's, is on OpenAI, played by echo."""
    agents: dict[str, AgentSnapshot | None] = {}
    lines: list[bytes] = []

    def append(batch) -> int:
        lines.extend(batch)
        return len(batch)

    journal = Journal(tmp_path / "journal", append=append)
    journal.start()

    def load(wanted: str) -> AgentSnapshot | None:
        return {digest(token): each for token, each in agents.items()}.get(wanted)

    snapshots = Snapshots(load=load)
    upstream = Upstream(allow_private=True)
    arranged = Arranged()
    pool = Pool(load=arranged.arrangement)
    used: dict[str, int] = {}

    async def count_month(agent_id: str, _month: str) -> int:
        return used.get(agent_id, 0)

    owners = Owners(tell=lambda _agent_id, used: owners_told.append(used))
    gateway = Gateway(
        snapshots=snapshots,
        upstream=upstream,
        journal=journal,
        pool=pool,
        limits=LocalLimits(count_month=count_month),
        once=Once(keys),
        observers=observers,
        owners=owners,
    )
    agents[TOKEN] = agent("openai", echo.url("openai"))
    yield House(
        call=Caller(GatewayApp(gateway)),
        gateway=gateway,
        agents=agents,
        lines=lines,
        journal=journal,
        arranged=arranged,
        pool=pool,
        used=used,
    )
    await journal.close()
    snapshots.close()
    await gateway.close()
    owners.close()
    pool.close()
    await upstream.close()
