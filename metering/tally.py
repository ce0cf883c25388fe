"""What an agent has used of its month so far: what is stored, and what waits in this machine's journal."""

from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from metering import journal
from metering.periods import Month
from metering.store.base import Store

BYOKEY: Final = "byokey"


class _Used(msgspec.Struct):
    id: str
    agent_id: str
    timestamp: str
    mode: str
    tokens_input: int
    tokens_output: int


_read = msgspec.json.Decoder(_Used).decode


def month_tokens(*, store: Store, directory: Path, agent_id: str, month: Month) -> int:
    """Return the tokens that count towards the agent's allowance, each record once.

    Raises:
        django.db.Error: when the store is away.
    """
    # The journal first: what is shipped between the two looks is left out of the second.
    waiting = {
        used.id: used.tokens_input + used.tokens_output
        for used in map(_read, journal.unshipped(directory))
        if used.agent_id == agent_id and used.mode != BYOKEY and used.timestamp.startswith(str(month))
    }
    stored = store.month_tokens(agent_id=UUID(agent_id), month=month, leaving_out=[UUID(each) for each in waiting])
    return stored + sum(waiting.values())
