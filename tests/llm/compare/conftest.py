"""What the gateway tells a comparison of its requests."""

import pytest

from llm.gateway import Observer
from llm.witness import Witness


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def observers(witness: Witness) -> list[Observer]:
    return [witness]
