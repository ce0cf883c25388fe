"""What every client's tests have in common: an agent at each provider, and the one record that a request leaves."""

from pathlib import Path
from typing import Any

import pytest

from tests.echo import EchoServer
from tests.process import MODELS, GatewayProcess, RunningAgent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this directory, and keep each module's tests on one worker: they share its server."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.process)
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(params=MODELS)
def agent(request: pytest.FixtureRequest, gateway_process: GatewayProcess, echo: EchoServer) -> RunningAgent:
    """An agent that nobody used before, at each provider in turn."""
    return gateway_process.agent(request.param)


class Meter:
    """The records of one agent."""

    def __init__(self, gateway: GatewayProcess, agent: RunningAgent) -> None:
        self._gateway = gateway
        self._agent = agent

    def records(self, *, count: int = 0) -> list[Any]:
        return self._gateway.records(self._agent, count=count)

    def counted(self, tokens_input: int, tokens_output: int, *, streamed: bool = False) -> Any:
        """Return the only record there is, after checking that it counts these tokens of a good answer."""
        [record] = self.records()
        agent = self._agent
        # No price list knows the models of somebody's own server.
        provenance = "unpriced" if agent.provider == "custom" else "reported"
        assert (record.provider, record.model, record.status) == (agent.provider, agent.model, "ok")
        assert (record.tokens_input, record.tokens_output) == (tokens_input, tokens_output)
        assert (record.streamed, record.http_status, record.provenance) == (streamed, 200, provenance)
        return record


@pytest.fixture
def meter(gateway_process: GatewayProcess, agent: RunningAgent) -> Meter:
    return Meter(gateway_process, agent)
