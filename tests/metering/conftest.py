"""Elena's agent in the middle of a February, used and told of."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import time_machine

from agents import services, subscriptions
from agents.models import Agent

NOW = datetime(2026, 2, 16, 12, tzinfo=UTC)


@pytest.fixture
def february() -> Iterator[None]:
    """It is noon of 16 February, and stays so."""
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def helpdesk(elena) -> Agent:
    """Elena's agent, on Starter: two million tokens, and $5 beyond them are 2.5 million more."""
    agent = services.create_agent(workspace=elena.workspace, name="Helpdesk", template="support-email", by=elena.user)
    subscriptions.choose_plan(agent=agent, tier="economy", by=elena.user, at=NOW)
    return agent
