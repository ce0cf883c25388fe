"""A webhook arrives signed, in the receiver's shape, at least once, and nowhere that it mustn't go."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.utils import translation

from agents import rotation
from agents import services as agents
from metering import addresses, webhooks
from metering.alerting import posting, sending, services, watching
from metering.alerts import ATTEMPTS_AT_MOST, Seen, facts
from metering.models import Alert, Delivery
from tests.metering.alerting import set_up, set_up_signed, wish
from tests.metering.conftest import NOW
from tests.metering.records import record, store
from tests.metering.test_alerts import look, rule
from tests.process import ROOT

pytestmark = pytest.mark.usefixtures("february")


Answer = Callable[[BaseHTTPRequestHandler], None]


class Receiver(ThreadingHTTPServer):
    """A customer's server on loopback: gives its answers one after the other, the last one for good."""

    daemon_threads = True

    def __init__(self, *answers: int | Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.heard: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?key=s3cret-part"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer(self)
            return
        self.send_response(answer)
        if 300 <= answer < 400:
            self.send_header("location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def receiver(*answers: int | Answer) -> Iterator[Receiver]:
    with Receiver(*answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def reached(bot, tokens: int = 1_500) -> Delivery:
    """Let the agent use something, look, and return what is to be delivered."""
    store(record(bot, at=NOW, tokens_input=tokens, tokens_output=0))
    look()
    return Delivery.objects.get()


def deliver(delivery: Delivery, *, at: datetime = NOW) -> Delivery:
    sending.deliver(delivery_id=delivery.pk, at=at)
    delivery.refresh_from_db()
    return delivery


def verified(secret: str, headers: dict[str, str], body: bytes, *, at: datetime = NOW) -> bool:
    """Check a message with the very lines that docs/alerts.md gives."""
    [lines] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "alerts.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(lines, names)
    with time_machine.travel(at, tick=False):
        genuine: bool = names["from_vutler"](secret, headers, body)
    return genuine


# --- that it arrives ----------------------------------------------------------------------------


def test_a_program_gets_what_happened_signed(alex, bot):
    with receiver(200) as hook:
        alert, secret = set_up_signed(alex, hook.url)
        delivery = deliver(reached(bot))
    [(headers, body)] = hook.heard
    assert (delivery.state, delivery.attempts, delivery.status) == ("delivered", 1, 200)
    assert verified(secret, headers, body)
    assert not verified(secret, headers, body.replace(b"1500", b"1501"))
    assert not verified(secret, {**headers, "webhook-timestamp": str(int(NOW.timestamp()) + 1)}, body)
    assert not verified(secret, headers, body, at=NOW + timedelta(minutes=6))
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "type": "alert.reached",
        "test": False,
        "id": str(delivery.pk),
        "alert": str(alert.pk),
        "workspace": str(alex.workspace.pk),
        "period": "2026-02",
        "reached_at": "2026-02-16T12:00:00Z",
        "metric": "tokens",
        "unit": "absolute",
        "threshold": "1000",
        "value": "1500",
        "agent": None,
        "text": "Your agents have used 1.5k tokens this month. This alert is set to 1k tokens.",
        "url": f"http://localhost/alerts/{alert.pk}/",
    }


def test_twice_500_and_then_it_arrives_under_the_same_id(alex, bot):
    with receiver(500, 503, 200) as hook:
        _alert, secret = set_up_signed(alex, hook.url)
        delivery = deliver(reached(bot))
        assert (delivery.state, delivery.outcome, delivery.status) == ("waiting", "answered", 500)
        at = NOW
        for wait, count in ((timedelta(minutes=1), 2), (timedelta(minutes=5), 3)):
            assert sending.due(at=at + wait - timedelta(seconds=1)) == []
            at += wait
            assert sending.due(at=at) == [delivery.pk]
            deliver(delivery, at=at)
            deliver(delivery, at=at)
            assert len(hook.heard) == count
    assert (delivery.state, delivery.attempts, delivery.finished_at) == ("delivered", 3, at)
    assert len({headers["webhook-id"] for headers, _body in hook.heard}) == 1
    assert len({headers["webhook-timestamp"] for headers, _body in hook.heard}) == 3
    for headers, body in hook.heard:
        assert verified(secret, headers, body, at=datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC))


def test_it_is_given_up_in_the_end(alex, bot):
    with receiver(500) as hook:
        set_up_signed(alex, hook.url)
        delivery, at = reached(bot), NOW
        for _ in range(20):
            deliver(delivery, at=at)
            at += timedelta(hours=7)
    assert (delivery.state, delivery.attempts, len(hook.heard)) == ("failed", ATTEMPTS_AT_MOST, ATTEMPTS_AT_MOST)


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_a_definite_no_is_not_asked_again(alex, bot, status):
    with receiver(status) as hook:
        set_up_signed(alex, hook.url)
        delivery = deliver(reached(bot))
    assert (delivery.state, delivery.attempts) == ("failed", 1)


def test_one_that_was_lost_with_its_process_is_tried_again(alex, bot, monkeypatch):
    def die(**_kwargs):
        raise KeyboardInterrupt

    with receiver(200) as hook:
        set_up_signed(alex, hook.url)
        delivery = reached(bot)
        with monkeypatch.context() as patch:
            patch.setattr(posting, "post", die)
            with pytest.raises(KeyboardInterrupt):
                deliver(delivery)
        assert deliver(delivery, at=NOW + timedelta(minutes=4)).state == "waiting"
        assert deliver(delivery, at=NOW + timedelta(minutes=5)).state == "delivered"


def test_one_that_ends_whoever_tries_it_is_given_up_too(alex, bot, monkeypatch):
    def die(**_kwargs):
        raise KeyboardInterrupt

    with receiver(200) as hook:
        set_up_signed(alex, hook.url)
    delivery = reached(bot)
    monkeypatch.setattr(posting, "post", die)
    for attempt in range(ATTEMPTS_AT_MOST):
        with pytest.raises(KeyboardInterrupt):
            deliver(delivery, at=NOW + attempt * timedelta(minutes=5))
    assert deliver(delivery, at=NOW + timedelta(hours=1)).state == "failed"


def test_nobody_there(alex, bot):
    with receiver(200) as hook:
        set_up_signed(alex, hook.url)
    delivery = deliver(reached(bot))
    assert (delivery.state, delivery.outcome, delivery.status) == ("waiting", "unreachable", None)


def drip(letting_go: threading.Event) -> Answer:
    """Answer with a byte of a head now and then, and never with all of it."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        while not letting_go.wait(0.02):
            try:
                handler.wfile.write(b"a")
            except OSError:
                return

    return answer


def test_one_who_never_comes_to_an_end_is_left(alex, bot, monkeypatch):
    monkeypatch.setattr(posting, "WITHIN", 0.3)
    letting_go = threading.Event()
    with receiver(drip(letting_go)) as hook:
        set_up_signed(alex, hook.url)
        delivery = deliver(reached(bot))
        letting_go.set()
    assert (delivery.state, delivery.outcome) == ("waiting", "too_slow")


# --- where it mustn't go ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nobody_is_followed_elsewhere(alex, bot, status):
    with receiver(status) as hook:
        set_up_signed(alex, hook.url)
        delivery = deliver(reached(bot))
    assert (delivery.state, delivery.outcome, delivery.status) == ("failed", "redirected", status)
    assert len(hook.heard) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.0.0.1/hook",
        "https://10.0.0.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/hook",
        "https://localhost/hook",
        "https://user:password@hooks.example.com/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com/?a b",
        "https://hooks.example.com/?a\r\nx: y",
        "https://hooks.example.com:25/",
        f"https://hooks.example.com/?{'a' * 500}",
    ],
)
def test_an_address_that_leads_inside_is_not_saved(alex, settings, monkeypatch, url):
    settings.ALLOW_PRIVATE_ENDPOINTS = False
    inside = {"localhost": "127.0.0.1"}
    names = partial(addresses.check, resolver=lambda host, _port: [inside.get(host, "93.184.215.14")])
    monkeypatch.setattr(addresses, "check", names)
    with pytest.raises(ValidationError) as refused:
        set_up(alex, 1_000, webhook_url=url)
    assert list(refused.value.error_dict) == ["webhook_url"]


def test_a_name_that_leads_inside_later_is_not_followed(alex, bot, settings, monkeypatch):
    answers = iter([["93.184.215.14"], ["127.0.0.1"], ["93.184.215.14", "127.0.0.1"]])
    looked_up = partial(addresses.check, resolver=lambda _host, _port: next(answers))
    with receiver(200) as hook:
        with monkeypatch.context() as patch:
            patch.setattr(addresses, "check", looked_up)
            settings.ALLOW_PRIVATE_ENDPOINTS = False
            set_up_signed(alex, f"https://rebinding.example.com:{hook.server_port}/hook")
            delivery = deliver(reached(bot))
            assert (delivery.state, delivery.outcome) == ("waiting", "address_refused")
            deliver(delivery, at=NOW + timedelta(minutes=1))
        assert (delivery.attempts, delivery.outcome, hook.heard) == (2, "address_refused", [])


def test_it_connects_to_the_address_that_was_checked_and_looks_the_name_up_once(alex, bot, monkeypatch):
    asked: list[str] = []

    def names(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with receiver(200) as hook, monkeypatch.context() as patch:
        patch.setattr(addresses, "check", partial(addresses.check, resolver=names))
        set_up_signed(alex, f"http://hooks.example.com:{hook.server_port}/hook")
        assert deliver(reached(bot)).state == "delivered"
    assert asked == ["hooks.example.com"] * 2  # saved, sent
    assert hook.heard[0][0]["host"] == f"hooks.example.com:{hook.server_port}"


# --- in the receiver's shape --------------------------------------------------------------------


def said(shape: str, name: str) -> dict[str, object]:
    told = facts(rule("tokens", 10), Seen(tokens=12), agent_name=name)
    body = webhooks.body(
        shape=shape, facts=told, text=f"{name} has used 12 tokens", url="https://vutler.example/", about={}
    )
    found: dict[str, object] = json.loads(body)
    return found


def test_slack_reads_text_and_an_agents_name_is_only_a_name():
    assert said("slack", "<!channel> & <https://evil.example|Bot>") == {
        "text": "&lt;!channel&gt; &amp; &lt;https://evil.example|Bot&gt; has used 12 tokens\n<https://vutler.example/>"
    }


def test_discord_reads_content_and_nobody_is_called():
    assert said("discord", "@everyone") == {
        "content": "@everyone has used 12 tokens\nhttps://vutler.example/",
        "allowed_mentions": {"parse": []},
    }
    assert len(str(said("discord", "a" * 5_000)["content"])) == 2_000


def test_it_speaks_the_language_of_whoever_set_it_up(alex, bot):
    with receiver(204) as hook:
        with translation.override("fr"):
            set_up_signed(alex, hook.url, shape="slack")
        assert deliver(reached(bot)).state == "delivered"
    assert "ce mois-ci" in json.loads(hook.heard[0][1])["text"]


# --- trying it out ------------------------------------------------------------------------------


def test_a_test_is_marked_and_told_at_once_and_once(alex):
    with receiver(500) as hook:
        alert, _secret = set_up_signed(alex, hook.url)
        tested = sending.test(alert=alert, channel="webhook", at=NOW)
        assert sending.due(at=NOW + timedelta(days=1)) == []
    body = json.loads(hook.heard[0][1])
    assert (tested.state, tested.status, body["type"], body["test"]) == ("failed", 500, "alert.test", True)
    assert body["text"].startswith("[Test] ")


def test_tests_have_an_end(alex, monkeypatch):
    monkeypatch.setattr(sending, "TESTS_AN_HOUR", 2)
    alert = set_up(alex, 1_000)
    for _ in range(2):
        sending.test(alert=alert, channel="page", at=NOW)
    with pytest.raises(sending.TooManyTests):
        sending.test(alert=alert, channel="page", at=NOW)
    sending.test(alert=alert, channel="page", at=NOW + timedelta(hours=1))


def test_a_test_does_not_stand_for_what_is_reached_later(alex, bot):
    alert = set_up(alex, 1_000)
    sending.test(alert=alert, channel="page", at=NOW)
    store(record(bot, at=NOW))
    assert len(look()) == 2
    assert watching.watch(at=NOW) == 0


# --- secrets ------------------------------------------------------------------------------------


def test_address_and_secret_are_sealed_bound_to_their_row_and_rotate(alex, bot, settings):
    with receiver(200) as hook:
        alert, secret = set_up_signed(alex, hook.url)
        row = Alert.objects.filter(pk=alert.pk).values().get()
        assert "s3cret-part" not in str(row)
        assert secret not in str(row)
        assert row["webhook_host"] == "127.0.0.1"
        other = set_up(alex, 5_000)
        Alert.objects.filter(pk=other.pk).update(sealed_webhook=alert.sealed_webhook, webhook_host="127.0.0.1")
        moved = sending.test(alert=Alert.objects.get(pk=other.pk), channel="webhook", at=NOW)
        assert (moved.state, moved.outcome, hook.heard) == ("failed", "lost", [])
    assert Alert in [column.model for column in rotation.columns()]


def test_another_address_gets_another_secret_and_none_is_forgotten(alex):
    with receiver(200) as hook, receiver(200) as another:
        alert, secret = set_up_signed(alex, hook.url)
        kept = services.change_alert(
            alert=alert, workspace=alex.workspace, wish=wish(2_000, on_page=False, by_webhook=True), by=alex.user
        )
        assert kept is None
        assert services.webhook_of(alert).url.reveal() == hook.url
        fresh = services.change_alert(
            alert=alert,
            workspace=alex.workspace,
            wish=wish(2_000, on_page=False, webhook_url=another.url),
            by=alex.user,
        )
        assert fresh
        assert fresh.reveal() != secret
    services.change_alert(alert=alert, workspace=alex.workspace, wish=wish(2_000), by=alex.user)
    alert.refresh_from_db()
    assert (alert.sealed_webhook, alert.webhook_host) == (None, "")


def test_an_agents_name_is_as_it_was_when_it_happened(alex, bot):
    with receiver(500, 200) as hook:
        set_up_signed(alex, hook.url, agent_id=bot.pk)
        delivery = deliver(reached(bot))
        agents.change_agent(agent=bot, by=alex.user, name="Another")
        deliver(delivery, at=NOW + timedelta(minutes=1))
    assert [json.loads(body)["agent"]["name"] for _headers, body in hook.heard] == ["Support Bot"] * 2
    assert hook.heard[0][1] == hook.heard[1][1]
