"""Distinctive keys, tokens, prompts and answers go through every path; then everything that stays is searched."""

import base64
import contextlib
import http.client
import io
import json
import logging
import re
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from django.contrib.sessions.backends.db import SessionStore

from agents.crypto import Secret
from llm.exchange import Exchange
from llm.pool import Way
from llm.providers.base import Target
from llm.providers.registry import PROVIDERS
from llm.requests import Call, read_chat, read_embeddings, read_messages, read_responses
from llm.snapshot import AgentSnapshot
from tests.echo import EchoServer
from tests.process import MODELS, GatewayProcess, fresh_database

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("process")]

NAME = "Quince Bot"
KEYS = {
    "the owner's key": "sk-marmalade-4f1d9c02-own",
    "a key pasted in a page": "sk-marmalade-77ab03ee-page",
    "a key that was only tried": "bad-marmalade-0c55d2f1-tried",
    "a key of ours": "sk-marmalade-e1902b7c-pool",
}
OWNERS, PASTED, TRIED, OURS = KEYS.values()
SAID = {"a prompt": "bergamotprompt", "an answer": "bergamotanswer", "an argument": "bergamotargument"}
# What staff arranged: keys of ours, and that Elena is one of them.
STAFF = f"""
from agents.models import User
from llm.models import PoolKey
User.objects.update(is_staff=True, is_superuser=True)
for provider in ("minimax", "mistral"):
    key = PoolKey(provider=provider, name="ours")
    key.seal("{OURS}")
    key.save()
"""
TOKEN = re.compile(r"vtl_(?:agent|ws)_[\w-]{20,}")
PASSWORD = "correct marmalade battery"
EMAIL = "elena@quince.example"


class Browser:
    """Elena's: keeps cookies, fills in forms, and remembers every page it was shown."""

    def __init__(self, site: str) -> None:
        self.pages: list[str] = []
        self._site = site
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def get(self, path: str) -> str:
        return self._open(urllib.request.Request(f"{self._site}{path}"))

    def post(self, path: str, /, *, on: str = "", **fields: str) -> str:
        """Send the form that is ``on`` a page (or at ``path``)."""
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(on or path))
        assert found, self.pages[-1]
        data = urlencode({**fields, "csrfmiddlewaretoken": found[1]}).encode()
        headers = {"referer": f"{self._site}{path}"}
        return self._open(urllib.request.Request(f"{self._site}{path}", data=data, headers=headers))

    def _open(self, request: urllib.request.Request) -> str:
        try:
            with self._opener.open(request) as answer:
                page: str = answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                page = error.read().decode()
        self.pages.append(page)
        return page


class Visit:
    """All that anybody does with a server."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self.shown: list[str] = []  # whatever isn't the answer to a prompt, nor a token that is shown this once
        made = gateway.run("create_workspace", "Quince", "--owner", EMAIL, "--password", PASSWORD, "--json")
        self.workspace_token: str = json.loads(made)["token"]
        self.tokens: list[str] = [self.workspace_token]
        gateway.run("shell", "-c", STAFF)

    def everything(self) -> None:
        for provider in ("openai", "anthropic"):
            agent, token = self.agent(provider)
            self.ask(token, MODELS[provider])
            self.attack(token)
            self.manage("POST", f"agents/{agent}/check-key/", {"api_key": TRIED, "provider": provider})
            self.manage("POST", f"agents/{agent}/check-key/", {})
        self.mistakes()
        self.on_a_plan()
        self.pages(agent)

    def agent(self, provider: str) -> tuple[str, str]:
        asked = {"name": NAME, "provider": provider, "model": MODELS[provider], "api_key": OWNERS}
        made = self.manage("POST", "agents/", asked)
        return made["id"], self.token(made["id"])

    def token(self, agent: str) -> str:
        token: str = self.manage("POST", f"agents/{agent}/tokens/", {})["token"]
        self.shown.pop()
        self.tokens.append(token)
        return token

    def ask(self, token: str, model: str) -> None:
        """Ask in every way, and have it end in every way."""
        endings = [
            "", "[[tools=2]]", "[[status=401]] [[quote_key]]", "[[status=400]] [[quote_key]]", "[[status=500]]",
            "[[garbage]]", "[[cut=0]]", "[[cut=2]]", "[[stream_error=1]] [[quote_key]]", "[[no_usage]]",
            "[[error=no_credit]]",
        ]  # fmt: skip
        tool = {"name": SAID["an argument"], "parameters": {"type": "object"}}
        for ending in endings:
            text = f"{SAID['a prompt']} [[text={SAID['an answer']}]] {ending}"
            message = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
            for stream in (False, True):
                tooled = {"tools": [{"type": "function", "function": tool}]} if "tools" in ending else {}
                self.post("chat/completions", token, {**message, **tooled, "stream": stream})
                self.post("messages", token, {**message, "stream": stream})
                self.post("responses", token, {"model": model, "input": text, "stream": stream})
            self.post("embeddings", token, {"model": model, "input": text})
        self.post("chat/completions", token, message, {"idempotency-key": SAID["a prompt"]})
        self.post("chat/completions", token, message, {"idempotency-key": SAID["a prompt"]})
        self.post("messages/count_tokens", token, message)
        self.leave(token, {**message, "stream": True})

    def attack(self, token: str) -> None:
        """Send what can't be read, and what nobody should have."""
        said = SAID["a prompt"]
        for body in (f'{{"messages": "{said}', f'{{"model": 1, "messages": ["{said}"]}}', f'["{said}"]', said):
            for path in ("chat/completions", "messages", "responses", "embeddings"):
                self.post(path, token, body.encode())
        unfit = {"model": "x", "messages": [{"role": "user", "content": [{"type": said}]}], said: said}
        self.post("chat/completions", token, unfit)
        self.post("chat/completions", token, unfit, {"x-vutler-request-type": said})
        self.post(f"nothing/{said}", token, unfit)
        self.post("chat/completions", f"{token}x", unfit)
        self.post("chat/completions", self.workspace_token, unfit)

    def mistakes(self) -> None:
        """Tell the management API secrets where it expects none."""
        for asked in ({"name": NAME, "provider": OWNERS}, {"name": NAME, "api_key": [OWNERS]}, OWNERS, None):
            self.manage("POST", "agents/", asked)
        self.manage("POST", "agents/", {"name": NAME, "provider": "custom", "base_url": "x", "api_key": OWNERS})
        self.manage("POST", "agents/", {"name": NAME, "provider": "openai", "api_key": f"{OWNERS} {OWNERS}"})
        self.manage("GET", "agents/", None)
        self.manage("GET", "usage/records/", None)

    def on_a_plan(self) -> None:
        """Have our own key used, and quoted by the provider that gets it."""
        agent = self.manage("POST", "agents/", {"name": NAME, "mode": "managed", "tier": "economy"})["id"]
        token = self.token(agent)
        answered = self.post("chat/completions", token, {"messages": [{"role": "user", "content": SAID["a prompt"]}]})
        assert answered == 200
        for refused in ("[[status=400]] [[quote_key]]", "[[status=401]] [[quote_key]]", "[[cut=0]]"):
            text = f"{SAID['a prompt']} {refused}"
            self.post("chat/completions", token, {"messages": [{"role": "user", "content": text}]})

    def pages(self, agent: str) -> None:
        """Do the same things by hand, and look at the staff's pages."""
        browser = Browser(self.gateway.site)
        browser.post("/accounts/login/", login=EMAIL, password=f"{PASSWORD} mistyped")
        assert NAME in browser.post("/accounts/login/", login=EMAIL, password=PASSWORD)
        settings = {"provider": "openai", "key": "new", "base_url": "", "model": "gpt-4o", "other_model": ""}
        here = f"/agents/{agent}/"
        browser.post(f"{here}check-key/", on=here, **settings, api_key=TRIED)
        browser.post(here, **settings, api_key=f"{PASTED} {PASTED}")
        browser.post(here, **settings, api_key=PASTED)
        browser.post("/keys/new/", provider="openai", api_key=PASTED, name="Production")
        browser.post("/keys/new/", provider=PASTED, api_key=PASTED, name=NAME)
        self.tokens += {*TOKEN.findall(browser.post(f"{here}tokens/", on=here, name="by hand"))}
        browser.pages.pop()
        self.tokens += {*TOKEN.findall(browser.post("/settings/tokens/", name="by hand"))}
        browser.pages.pop()
        assert len(self.tokens) == 6
        self.compare(browser, agent)
        addresses = ["/agents/", here, "/keys/", "/usage/", "/settings/security/", "/settings/tokens/", "/nothing/"]
        tables = ("agent", "providerkey", "agenttoken", "workspacetoken", "auditentry", "workspace", "user")
        addresses += [f"/admin/agents/{table}/" for table in tables]
        for address in addresses:
            browser.get(address)
        self.shown += browser.pages

    def compare(self, browser: Browser, agent: str) -> None:
        """Compare two models in a run that nobody keeps, both answering and both refusing."""
        models = re.findall(r'<option value="([0-9a-f-]{36}:[^"]+)"', browser.get(f"/compare/?agent={agent}"))
        chosen = {"agent": agent, "source": "one", "column_1": models[0], "column_2": models[1]}
        for ending in ("", "[[status=400]] [[quote_key]]"):
            text = f"{SAID['a prompt']} [[text={SAID['an answer']}]] {ending}"
            assert SAID["a prompt"] in browser.post("/compare/", on="/compare/", **chosen, prompt=text)
            # What was said is shown to who asked. Whose key it was asked with is on no page.
            assert not [key for key in KEYS.values() if key in browser.pages[-1]]
            browser.pages.pop()

    def post(self, path: str, token: str, body: Any, headers: dict[str, str] | None = None) -> int:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=60)
        sent = {"authorization": f"Bearer {token}", "anthropic-version": "2023-06-01"}
        try:
            connection.request("POST", f"/v1/{path}", body=raw, headers={**sent, **(headers or {})})
            answer = connection.getresponse()
            # An answer belongs to whoever asked; but whose key it was made with is another's secret.
            said = answer.read().decode(errors="replace")
        except http.client.HTTPException as error:
            said = str(error)
        finally:
            connection.close()
        assert not [key for key in KEYS.values() if key in said], said
        return answer.status

    def leave(self, token: str, body: dict[str, Any]) -> None:
        """Go away in the middle of an answer."""
        body = {
            **body,
            "messages": [{"role": "user", "content": f"{SAID['a prompt']} [[words=500]] [[chunk_delay=0.02]]"}],
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=60)
        headers = {"authorization": f"Bearer {token}"}
        connection.request("POST", "/v1/chat/completions", body=json.dumps(body), headers=headers)
        connection.getresponse().read(100)
        connection.close()

    def manage(self, method: str, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=60)
        headers = {"authorization": f"Bearer {self.workspace_token}", "content-type": "application/json"}
        try:
            connection.request(method, f"/api/v1/{path}", body=json.dumps(body), headers=headers)
            said = connection.getresponse().read().decode()
        finally:
            connection.close()
        self.shown.append(said)
        return json.loads(said)


def spellings(secret: str) -> set[bytes]:
    """The secret as it is, and as it would look in base64 (wherever it begins) or hexadecimal."""
    raw = secret.encode()
    shifted = {base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)}
    return {raw, raw.hex().encode(), *shifted, *(each.replace(b"+", b"-").replace(b"/", b"_") for each in shifted)}


def found(places: dict[str, bytes], secrets: dict[str, str]) -> list[str]:
    return [
        f"{what} in {where}: …{data[max(at - 150, 0) : at + 60]!r}"
        for where, data in places.items()
        for what, secret in secrets.items()
        for spelling in spellings(secret)
        if (at := data.find(spelling)) >= 0
    ]


def stored(kind: str, database: str) -> dict[str, bytes]:
    """Every row of every table as text, and what is in the sessions, which are compressed in theirs."""
    if kind == "postgres":
        connection: Any = psycopg.connect(database)
        listing = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    else:
        connection = sqlite3.connect(database.removeprefix("sqlite:///"))
        listing = "SELECT name FROM sqlite_master WHERE type = 'table'"
    with contextlib.closing(connection):
        tables = [name for (name,) in connection.execute(listing).fetchall()]
        found = {name: repr(connection.execute(f'SELECT * FROM "{name}"').fetchall()).encode() for name in tables}
        sessions = connection.execute("SELECT session_data FROM django_session").fetchall()
    return {**found, "sessions": repr([SessionStore().decode(data) for (data,) in sessions]).encode()}


@contextlib.contextmanager
def server(echo: EchoServer, kind: str, var_dir: Path, **environment: str) -> Iterator[GatewayProcess]:
    with fresh_database() as postgres:
        database = postgres if kind == "postgres" else f"sqlite:///{var_dir}/vutler.sqlite3"
        gateway = GatewayProcess(echo, database=database, var_dir=var_dir, **environment)
        gateway.start()
        try:
            yield gateway
        finally:
            gateway.terminate()


@pytest.mark.parametrize(("kind", "debug"), [("postgres", "false"), ("sqlite", "true")])
def test_nothing_of_anybodys_stays_anywhere(echo: EchoServer, tmp_path: Path, kind: str, debug: str):
    with server(echo, kind, tmp_path, LOG_LEVEL="DEBUG", DEBUG=debug) as gateway:
        visit = Visit(gateway)
        visit.everything()
        gateway.terminate()
        places = stored(kind, gateway.env["DATABASE_URL"])
    places["what was shown"] = "\n".join(visit.shown).encode()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "static" not in path.parts]
    places |= {str(path): path.read_bytes() for path in files}

    everything = b"".join(places.values())
    tokens = {f"token {number}": token for number, token in enumerate(visit.tokens)}
    assert found(places, {**KEYS, **tokens, **SAID, "a password": PASSWORD}) == []
    # It isn't because there was nothing to find.
    assert NAME.encode() in everything
    assert everything.count(b"v1.") >= 3
    assert b'"event":"request"' in places[str(tmp_path / "server.log")]
    assert b"_auth_user_id" in places["sessions"]


# --- In the gateway itself, where no directive leads ------------------------------------------------


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is written to the log, as it is written."""
    root = logging.getLogger()
    [ours] = [handler for handler in root.handlers if handler.name == "stderr"]
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(ours.formatter)
    root.addHandler(handler)
    yield written
    root.removeHandler(handler)


async def test_a_mistake_of_ours_is_logged_by_its_place_and_not_by_its_words(house, logged, monkeypatch):
    async def relay(exchange: Exchange, *_: object) -> bytes:
        raise ValueError(f"{exchange.request.body!r} went out with {OWNERS}")

    monkeypatch.setattr("llm.own.relay", relay)
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": SAID["a prompt"]}]}
    answered = await house.call(body)
    record = await house.record()
    said = answered.body.decode() + logged.getvalue() + str(record)
    assert answered.json()["error"]["code"] == "internal_error"
    assert (record["status"], record["http_status"]) == ("provider_cut", 500)  # nobody's fault but ours
    assert "gateway_failed" in said
    assert "in relay" in said
    assert OWNERS not in said
    assert SAID["a prompt"] not in said


def test_what_is_printed_of_a_request_says_nothing_of_it():
    body = json.dumps({"model": "m", "messages": [SAID["a prompt"]], "input": SAID["a prompt"]}).encode()
    call = Call(id="0199", token="vtl_agent_x", body=body, headers={b"authorization": b"Bearer vtl_agent_x"})
    target = Target(provider="openai", model="m", base_url="https://api.openai.com/v1", key=Secret(OWNERS))
    agent = AgentSnapshot(agent_id="a", workspace_id="w", mode="byokey", paused=False, target=target)
    requests = [read(call, "m") for read in (read_chat, read_messages, read_responses, read_embeddings)]
    exchange = Exchange(request_id="0199", request_type="chat", agent=agent, request=requests[0])
    prepared = PROVIDERS["openai"].prepare(requests[0], target)
    exchange.attempt(target, "m", prepared)
    printed = repr([call, *requests, exchange, prepared, target, agent, Way(target=target)])
    for secret in (OWNERS, SAID["a prompt"], "vtl_agent_x"):
        assert secret not in printed
