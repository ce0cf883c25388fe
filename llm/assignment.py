"""Which arm of its agent's experiment a request goes to, and how it is asked there."""

from typing import Final, TypeVar

import msgspec

from llm.instructions import with_instructions
from llm.requests import Call, Request
from llm.snapshot import AgentSnapshot
from llm.split import Split

SESSION: Final = b"x-vutler-session"

AnyRequest = TypeVar("AnyRequest", bound=Request)


def assigned(agent: AgentSnapshot, split: Split, call: Call, request: Request) -> tuple[AgentSnapshot, str]:
    """Return the arm of the agent's that the request's session belongs to, and the session's digest.

    A session is what the header names, or else the request's end user, or else just the request.
    """
    if named := call.headers.get(SESSION, b"").decode("latin-1").strip():
        arm, session = split.place(f"session:{named}")
    elif request.end_user:
        arm, session = split.place(f"user:{request.end_user}")
    else:
        arm, session = split.place_of_request(call.id)
    return agent.arms[arm], session


def as_asked(request: AnyRequest, agent: AgentSnapshot) -> AnyRequest:
    """Return the request as it is put to what answers in the agent's place: its model, its addition to the prompt."""
    if agent.names_model and agent.target:
        request = msgspec.structs.replace(request, model=agent.target.model, names_model=False)
    return with_instructions(request, agent.instructions) if agent.instructions else request
