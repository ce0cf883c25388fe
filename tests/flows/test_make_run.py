"""A fresh clone: `make run`, the printed line, and the record of it."""

import json
import stat
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.flows.trying_out import TryingOut, eventually, trying_out

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("make run")]


def records(running: TryingOut) -> list[dict[str, object]]:
    """The records of the agent that answers, over the management API."""
    token = json.loads((running.var_dir / "demo.json").read_text())["workspace_token"]
    request = urllib.request.Request(
        f"{running.url}/api/v1/usage/records/", headers={"authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request) as answer:
        found = json.load(answer)["results"]
    return [record for record in found if record["provider"] == "echo"]


def shell(line: str) -> str:
    return subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True).stdout


def test_the_printed_line_is_answered_and_counted_and_a_second_start_knows_it_all(tmp_path: Path):
    with trying_out(tmp_path) as running:
        answer = json.loads(shell(running.curl))
        assert "Hello, bakery!" in answer["choices"][0]["message"]["content"]
        [record] = eventually(lambda: records(running))
        assert record["tokens_input"] == answer["usage"]["prompt_tokens"]
        assert record["tokens_output"] == answer["usage"]["completion_tokens"]
        assert record["tier"] == "byokey"
        first = running.said("Password"), running.said("Agent token")
        assert running.ctrl_c().strip() == "Stopped."

    for name in ("secrets.env", "demo.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600

    with trying_out(tmp_path) as again:
        assert (again.said("Password"), again.said("Agent token")) == first
        assert json.loads(shell(again.curl))["usage"] == answer["usage"]
        assert len(eventually(lambda: records(again)[1:])) == 1
