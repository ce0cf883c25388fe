"""Clients that are programs of their own: they ask everything at once and print what came of it, as JSON by case.

PROGRAM BASE_URL TOKEN MODEL < questions.json

Every case lists the ``requests`` that it made (id, status, and the time ``at`` in ms), and besides what it saw of the
answer (``text``, ``calls``, ``usage`` …) or the exception that was ``raised``.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.compat.questions import (
    BOTH_QUESTION,
    HELLO,
    IMAGE_QUESTION,
    TEXTS,
    TIME,
    WEATHER,
    WEATHER_ANSWERED,
    WEATHER_QUESTION,
)
from tests.process import GatewayProcess, RunningAgent

QUESTIONS = {
    "hello": HELLO,
    "weather": WEATHER_QUESTION,
    "both": BOTH_QUESTION,
    "answered": WEATHER_ANSWERED,
    "image": IMAGE_QUESTION,
    "tools": [WEATHER, TIME],
    "texts": TEXTS,
}


@dataclass
class Ran:
    """What the client saw, by case, and what was recorded, by request."""

    agent: RunningAgent
    cases: dict[str, Any]
    records: dict[str, Any]

    def counted(self, case: str, tokens_input: int, tokens_output: int, *, streamed: bool = False) -> None:
        """Check that the case's only request was a good one with these tokens."""
        [record] = self.recorded(case)
        agent = self.agent
        assert (record.provider, record.model, record.status) == (agent.provider, agent.model, "ok")
        assert (record.tokens_input, record.tokens_output) == (tokens_input, tokens_output)
        assert (record.streamed, record.http_status) == (streamed, 200)

    def recorded(self, case: str) -> list[Any]:
        """Return the records of the case's requests, in their order."""
        return [self.records[request["id"]] for request in self.cases[case]["requests"]]

    def waited(self, case: str) -> float:
        """Return how long the case waited between its first request and its second (ms)."""
        first, second = self.cases[case]["requests"]
        waited: float = second["at"] - first["at"]
        return waited


def run(gateway: GatewayProcess, agent: RunningAgent, program: Sequence[str], *, cwd: Path) -> Ran:
    """Run ``program``, and read what its requests left in the meter."""
    asked = json.dumps(QUESTIONS)
    command = [*program, gateway.url, agent.token, agent.model]
    ran = subprocess.run(command, cwd=cwd, input=asked, check=True, stdout=subprocess.PIPE, text=True)
    return Ran(agent, json.loads(ran.stdout), {str(record.id): record for record in gateway.records(agent)})
