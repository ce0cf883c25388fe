"""`make run` chooses safe values once, and leaves alone what the environment says."""

import os
import stat
import threading

import pytest
from celery.beat import Service

from vutler import celery_app, run


@pytest.fixture
def environment(monkeypatch):
    """A shell's that has set nothing. What is chosen stays in it: this process has its own back after the test."""
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"]})
    return os.environ


def test_keys_are_made_once_for_their_owner_only(tmp_path):
    first = run.kept_secrets(tmp_path / "secrets.env")
    assert set(first) == {"SECRET_KEY", "FIELD_ENCRYPTION_KEYS"}
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
    assert run.kept_secrets(tmp_path / "secrets.env") == first
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.env"]


def test_the_echo_provider_is_this_very_server(tmp_path, environment):
    run.choose_environment(tmp_path, port=9000)
    assert environment["ECHO_BASE_URL"] == "http://127.0.0.1:9000/echo/v1"
    assert environment["HTTPS"] == "false"
    assert environment["VAR_DIR"] == str(tmp_path)


def test_a_key_of_the_environment_wins(tmp_path, environment):
    environment["SECRET_KEY"] = "chosen by somebody"
    run.choose_environment(tmp_path, port=8000)
    assert environment["SECRET_KEY"] == "chosen by somebody"


def test_the_printed_line_is_one_line_that_carries_the_token():
    demo = {"email": "demo@vutler.example", "password": "p", "agent_token": "vtl_agent_x", "model": "echo-1"}
    lines = run.announcement(demo, port=9000).splitlines()
    [curl] = [line for line in lines if line.startswith("curl ")]
    assert "http://127.0.0.1:9000/v1/chat/completions" in curl
    assert "authorization: Bearer vtl_agent_x" in curl


def test_every_job_of_the_timetable_is_known_before_it_starts(tmp_path, monkeypatch):
    steps: list[str] = []
    started = threading.Event()
    look_for_jobs = celery_app.loader.import_default_modules

    def looking() -> None:
        look_for_jobs()
        steps.append("known")

    def start(_timetable: Service) -> None:
        steps.append("started")
        started.set()

    monkeypatch.setattr(celery_app.loader, "import_default_modules", looking)
    monkeypatch.setattr(Service, "start", start)
    run._start_timetable(tmp_path)
    started.wait()
    assert steps == ["known", "started"]
    assert {entry["task"] for entry in celery_app.conf.beat_schedule.values()} <= set(celery_app.tasks)
