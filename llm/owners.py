"""Tells an agent's owners, through whoever can write to them, when its month crosses a threshold.

Never in a request's way: it is done in a thread, what fails is logged, and what is lost with the process is made up
for by ``metering.tasks.tell_owners``, which looks at every month each minute.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.db import close_old_connections, connections

from llm.limits import Counted
from llm.snapshot import AgentSnapshot

log = structlog.get_logger(__name__)

# ``tell(agent_id, tokens used)``; without tokens, the agent was refused at its ceiling, and they have to be counted.
Tell = Callable[[str, int | None], None]


class Owners:
    """The owners of the agents that this process answers."""

    def __init__(self, *, tell: Tell) -> None:
        """Use ``tell`` in a thread; it may take its time, and may be called twice for the same thing."""
        self._tell = tell
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="owners")
        self._refused: dict[str, tuple[str, int]] = {}

    def counted(self, agent: AgentSnapshot, counted: Counted) -> None:
        """Tell them if the request that was just settled took the month over a threshold."""
        if agent.plan and any(counted.before < mark <= counted.after for mark in agent.plan.marks):
            self._thread.submit(self._try, agent.agent_id, counted.after)

    def refused(self, agent: AgentSnapshot, month: str) -> None:
        """Tell them that the agent was refused for its ceiling: once for each, however often it tries again."""
        if agent.plan is None:
            return
        at = (month, agent.plan.most_tokens)
        if self._refused.get(agent.agent_id) != at:
            self._refused[agent.agent_id] = at
            self._thread.submit(self._try, agent.agent_id, None)

    def close(self) -> None:
        """Tell what is still to be told, and stop. May take its time: called in a thread."""
        self._thread.submit(connections.close_all)
        self._thread.shutdown()

    def _try(self, agent_id: str, used: int | None) -> None:
        try:
            close_old_connections()
            self._tell(agent_id, used)
        except Exception:
            log.exception("owners_not_told", agent_id=agent_id)
