"""curl, as the README shows it. What else it can do is in ``check_curl.py``, which `make compat` runs."""

import json
import subprocess
from typing import Any


def curl(url: str, token: str, *options: str, body: dict[str, Any], route: str = "chat/completions") -> str:
    headers = ("-H", f"authorization: Bearer {token}", "-H", "content-type: application/json")
    ran = subprocess.run(
        ["curl", "-sS", *options, f"{url}/{route}", *headers, "-d", json.dumps(body)],
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stdout


def hello(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello, bakery!"}]}


def test_an_answer(gateway_process, agent, meter):
    answer = json.loads(curl(gateway_process.url, agent.token, body=hello(agent.model)))
    assert answer["choices"][0]["message"]["content"] == "You said: Hello, bakery!"
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (2, 4)
    meter.counted(2, 4)


def test_a_stream(gateway_process, agent, meter):
    said = curl(gateway_process.url, agent.token, "-N", body={**hello(agent.model), "stream": True})
    *events, end = [line.removeprefix("data: ") for line in said.splitlines() if line.startswith("data: ")]
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("content") or "" for delta in deltas) == "You said: Hello, bakery!"
    assert end == "[DONE]"
    meter.counted(2, 4, streamed=True)
