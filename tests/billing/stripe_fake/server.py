"""The server: keys, idempotency, faults, and the few pages that customers see."""

import hashlib
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from stripe import WebhookSignature

from tests.billing.stripe_fake import pages
from tests.billing.stripe_fake.ledger import Ledger, Problem, Row
from tests.billing.stripe_fake.parameters import parse, unknown
from tests.billing.stripe_fake.routes import found

KEYS_LIVE = timedelta(hours=24)
KEY = "sk_test_fake"
WEBHOOK_SECRET = "whsec_fake"


class Lost(Exception):
    """The connection breaks without an answer."""


class Handler(BaseHTTPRequestHandler):
    """Carries requests to the fake."""

    fake: "Fake"
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # an answer in one piece: in two, the other side waits for more

    def do_GET(self) -> None:
        self._answer(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("content-length") or 0)).decode())

    def do_DELETE(self) -> None:
        self._answer(urlsplit(self.path).query)

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, encoded: str) -> None:
        path = urlsplit(self.path).path
        if not path.startswith("/v1/"):
            status, body, headers = pages.answer(self.fake.ledger, self.command, path, parse(encoded))
            self._send(status, body.encode(), "text/html", **headers)
            return
        try:
            status, said = self.fake.answer(self.command, path, encoded, self.headers)
        except Lost:
            self.close_connection = True
            return
        except KeyError:
            status, said = 404, Problem(404, code="unknown_path", message=f"{self.command} {path}").body
        self._send(status, json.dumps(said).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Fake:
    """A Stripe account on loopback, and what a test can do to it."""

    def __init__(self) -> None:
        self.ledger = Ledger(url=lambda: self.url)
        self.calls: list[str] = []  # "POST /v1/invoices", in their order
        self._lock = threading.Lock()
        self._answers: dict[str, tuple[str, Any, tuple[int, Row]]] = {}
        self._under_way: set[str] = set()
        self._faults: list[tuple[str, bool]] = []
        self.before: Callable[[str], None] = lambda _call: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"fake": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def events(self) -> list[Row]:
        return self.ledger.events

    def advance(self, **delta: float) -> None:
        """Let time go by."""
        self.ledger.now += timedelta(**delta)

    def cut_after(self, call: str) -> None:
        """Do the next ``call`` and lose its answer."""
        self._faults.append((call, True))

    def cut_before(self, call: str) -> None:
        """Lose the next ``call`` on its way."""
        self._faults.append((call, False))

    def invoices(self) -> list[Row]:
        return self.ledger.all("invoice")

    @staticmethod
    def signed(event: Row, *, at: int, secret: str = WEBHOOK_SECRET) -> tuple[bytes, str]:
        """Return an event as it's delivered: body and signature."""
        body = json.dumps(event)
        return body.encode(), WebhookSignature.generate_signature_header(body, secret, at)

    # --- Answering ------------------------------------------------------------------------------

    def answer(self, method: str, path: str, encoded: str, headers: Any) -> tuple[int, Row]:
        """Return status and body.

        Raises:
            Lost: where a test wanted that.
        """
        call, kind, do, ids = found(method, path)
        self.before(call)
        with self._lock:
            self.calls.append(call)
            fault = next((each for each in self._faults if each[0] == call), None)
            if fault:
                self._faults.remove(fault)
            if fault and not fault[1]:
                raise Lost
        if headers.get("Authorization") != f"Bearer {KEY}":
            return 401, Problem(401, code="api_key_invalid").body
        given = parse(encoded)
        if bad := kind and unknown(given, kind):
            return 400, Problem(400, code="parameter_unknown", message=f"Received unknown parameter: {bad}").body
        answered = self._once(
            headers.get("Idempotency-Key"), (method, path, given), lambda: do(self.ledger, ids, given)
        )
        if fault:
            raise Lost
        return answered

    def _once(self, key: str | None, asked: Any, do: Callable[[], Row]) -> tuple[int, Row]:
        if key is None:
            return self._done(do)
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        with self._lock:
            was, kept_at, answer = self._answers.get(key, ("", None, (0, {})))
            if kept_at and kept_at > self.ledger.now - KEYS_LIVE:
                if was != digest:
                    message = "Keys for idempotent requests can only be used with the same parameters"
                    return 400, Problem(400, code="idempotency_error", message=message, kind="idempotency_error").body
                return answer
            if key in self._under_way:
                return 409, Problem(409, code="idempotency_key_in_use").body
            self._under_way.add(key)
        try:
            answer = self._done(do)
            with self._lock:
                self._answers[key] = (digest, self.ledger.now, answer)
            return answer
        finally:
            self._under_way.discard(key)

    def _done(self, do: Callable[[], Row]) -> tuple[int, Row]:
        with self._lock:
            try:
                return 200, json.loads(json.dumps(do()))
            except Problem as problem:
                return problem.status, problem.body
