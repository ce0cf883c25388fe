"""`make serve` and `make worker` say what they lack."""

import os
import subprocess
import sys
from typing import Any

import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from vutler import env, serve


@pytest.mark.parametrize("name", ["SECRET_KEY", "FIELD_ENCRYPTION_KEYS"])
def test_a_server_without_a_key_says_which_one_and_how_to_make_it(name, tmp_path):
    ended = start("vutler.serve", without=name, VAR_DIR=str(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"{name} is not set. ")
    assert "Traceback" not in ended.stderr
    assert 'python -c "' in ended.stderr


def test_a_worker_without_redis_says_so(tmp_path):
    ended = start("vutler.worker", without="REDIS_URL", VAR_DIR=str(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr.startswith("REDIS_URL is not set. The worker takes its jobs from Redis")


async def test_only_trusted_proxies_say_where_a_request_came_from(monkeypatch):
    """Else whoever names another address each time would have as many guesses at a password as they like."""
    given: dict[str, Any] = {}
    monkeypatch.setattr("uvicorn.run", lambda **options: given.update(options))
    monkeypatch.setattr("vutler.startup.prepare", lambda: None)
    monkeypatch.setattr(env, "TRUSTED_PROXIES", ["127.0.0.1", "10.0.0.0/8"])
    serve.serve()
    seen = []

    async def app(scope, _receive, _send):
        seen.append(scope["client"][0])

    proxied = ProxyHeadersMiddleware(app, trusted_hosts=given["forwarded_allow_ips"])
    headers = [(b"x-forwarded-for", b"6.6.6.6, 203.0.113.9, 10.1.2.3")]
    for peer in ("127.0.0.1", "10.0.0.7", "198.51.100.1"):
        await proxied({"type": "http", "client": (peer, 1), "headers": headers}, None, None)  # type: ignore[arg-type]
    assert seen == ["203.0.113.9", "203.0.113.9", "198.51.100.1"]


def start(module: str, *, without: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", module],
        env={name: value for name, value in os.environ.items() if name != without} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
