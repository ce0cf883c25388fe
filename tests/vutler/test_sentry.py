"""What leaves the house when something breaks: where, and nothing of anybody's."""

import json

import pytest
import sentry_sdk
from django.test import Client
from sentry_sdk.transport import Transport

from vutler import sentry


class Post(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def capture_envelope(self, envelope) -> None:
        self.sent.append(envelope.serialize().decode())


@pytest.fixture
def post(monkeypatch):
    post = Post()
    started = sentry_sdk.init
    monkeypatch.setattr("sentry_sdk.init", lambda **options: started(transport=post, **options))
    before = sentry_sdk.get_global_scope().client
    sentry.start("https://public@sentry.example/1")
    yield post
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(before)


def test_an_error_in_a_page_is_reported_without_the_form(post, client: Client, alex, monkeypatch):
    def broken(*_: object, **given: object) -> None:
        raise ValueError(f"can't deal with {given}")

    monkeypatch.setattr("agents.services.create_agent", broken)
    client = alex.client()
    client.raise_request_exception = False
    # Put together here: the lines of this file are in the report, around where it broke.
    word = "".join(["marma", "lade"])
    body = {"name": f"{word} bot", "provider": "openai", "api_key": f"sk-{word}-0123456789", "model": "gpt-4o-mini"}
    answer = client.post("/api/v1/agents/", body, content_type="application/json", headers={"x-note": word})
    assert answer.status_code == 500
    report = "\n".join(post.sent)
    assert '"type":"ValueError"' in report
    assert '"function":"broken"' in report
    assert word not in report
    assert "alex@" not in report


def test_a_line_in_the_log_is_reported_by_its_name_alone(post):
    event = {
        "logentry": {"message": "gateway_failed", "params": ["my secret plan"]},
        "extra": {"prompt": "my secret plan"},
        "request": {"data": "my secret plan", "headers": {"authorization": "Bearer secret"}},
        "breadcrumbs": {"values": [{"message": "my secret plan"}]},
        "contexts": {"runtime": {"name": "CPython"}, "celery-job": {"args": ["my secret plan"]}},
        "level": "error",
    }
    assert sentry.scrubbed(event) == {
        "level": "error", "contexts": {"runtime": {"name": "CPython"}}, "logentry": {"message": "gateway_failed"},
    }  # fmt: skip
    sentence = {"logentry": {"message": "can't read 'my secret plan'"}}
    assert json.dumps(sentry.scrubbed(sentence)["logentry"]) == '{"message": "log"}'
