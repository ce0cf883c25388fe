"""Which arm of its agent's experiment a request goes to, and how it is asked there."""

from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from llm.instructions import with_instructions
from llm.requests import Call, Request
from llm.snapshot import AgentSnapshot

SESSION: Final = b"x-vutler-session"

AnyRequest = TypeVar("AnyRequest", bound=Request)


class Assigned(NamedTuple):
    """What answers a request, and the digest of its session."""

    agent: AgentSnapshot
    session: str


class _Named(msgspec.Struct, frozen=True):
    # Whatever stands there: what isn't text names nobody.
    user: Any = None
    metadata: Any = None


_read: Final = msgspec.json.Decoder(_Named).decode


def assigned(agent: AgentSnapshot, call: Call) -> Assigned:
    """Return the arm that the request's session belongs to; the agent itself where no experiment runs."""
    if agent.split is None:
        return Assigned(agent, "")
    arm, session = agent.split.place(session_of(call))
    return Assigned(agent.arms[arm], session)


def session_of(call: Call) -> str:
    """Return what a request names as its session: the header, or its end user, or else just itself."""
    named = call.headers.get(SESSION, b"").decode("latin-1").strip()
    return f"session:{named}" if named else _end_user(call.body) or f"request:{call.id}"


def as_asked(request: AnyRequest, agent: AgentSnapshot) -> AnyRequest:
    """Return the request as it is put to what answers in the agent's place: its model, its addition to the prompt."""
    if agent.names_model and agent.target:
        request = msgspec.structs.replace(request, model=agent.target.model, names_model=False)
    return with_instructions(request, agent.instructions) if agent.instructions else request


def _end_user(body: bytes) -> str:
    try:
        fields = _read(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""  # it can't be read, and is refused for that elsewhere
    in_metadata = fields.metadata.get("user_id") if isinstance(fields.metadata, dict) else None
    return next((f"user:{each}" for each in (fields.user, in_metadata) if each and isinstance(each, str)), "")
