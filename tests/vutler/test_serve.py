"""`make serve` and `make worker` say what they lack."""

import os
import subprocess
import sys

import pytest


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


def start(module: str, *, without: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", module],
        env={name: value for name, value in os.environ.items() if name != without} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
