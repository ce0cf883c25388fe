"""What can go wrong between an agent and its provider, and how each dialect says it.

GatewayError
├── InvalidRequest         400  the body can't be read; names the field
│   └── RequestTooLarge    413
├── InvalidAgentToken      401
├── AgentNotConfigured     400  no key yet
├── AgentPaused            403
├── PlansPaused            402  the workspace has an invoice to pay
├── IdempotencyKeyReused   409  the request was made already
├── IdempotencyKeyMismatch 422  another request was made under this idempotency-key
├── NotFound               404  no such route or model
├── MethodNotAllowed       405
├── ServiceUnavailable     503  shutting down, or nowhere to write the record
└── UpstreamError
    ├── UpstreamUnavailable 502  no answer: refused, reset, or cut before its first byte
    └── UpstreamTimeout     504
"""

from typing import ClassVar

import msgspec


class GatewayError(Exception):
    """An answer that isn't the provider's. ``message`` tells the caller what to do, and never quotes a secret."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    openai_type: ClassVar[str] = "api_error"
    anthropic_type: ClassVar[str] = "api_error"

    def __init__(self, message: str, *, param: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = headers or {}


class InvalidRequest(GatewayError):
    """The body can't be read, or a field of it is wrong."""

    status, code = 400, "invalid_request"
    openai_type = anthropic_type = "invalid_request_error"


class RequestTooLarge(InvalidRequest):
    """The body is over the limit."""

    status, code = 413, "request_too_large"
    anthropic_type = "request_too_large"


class InvalidAgentToken(GatewayError):
    """No token, an unknown one, a revoked one, or one of a deleted agent."""

    status, code = 401, "invalid_agent_token"
    openai_type, anthropic_type = "invalid_request_error", "authentication_error"


class AgentNotConfigured(GatewayError):
    """The agent has nothing to answer with yet."""

    status, code = 400, "agent_not_configured"
    openai_type = anthropic_type = "invalid_request_error"


class AgentPaused(GatewayError):
    """Its owner, or staff, paused the agent."""

    status, code = 403, "agent_paused"
    openai_type, anthropic_type = "invalid_request_error", "permission_error"


class CeilingReached(GatewayError):
    """The month's allowance is used, and the limit for what goes beyond it is reached. SDKs don't retry a 402."""

    status, code = 402, "overage_ceiling_reached"
    openai_type, anthropic_type = "insufficient_quota", "billing_error"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})


class PlansPaused(GatewayError):
    """The workspace's plans are paused, because an invoice isn't paid. SDKs don't retry a 402."""

    status, code = 402, "plans_paused"
    openai_type, anthropic_type = "insufficient_quota", "billing_error"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})


class RateLimited(GatewayError):
    """More requests or tokens in a minute than the agent may have; carries what is left of each."""

    status, code = 429, "rate_limited"
    openai_type = anthropic_type = "rate_limit_error"

    def __init__(self, message: str, *, requests_left: int, tokens_left: int, headers: dict[str, str]) -> None:
        super().__init__(message, headers=headers)
        self.requests_left, self.tokens_left = requests_left, tokens_left


class IdempotencyKeyReused(GatewayError):
    """The request was made already, and isn't made twice."""

    status, code = 409, "idempotency_key_reused"
    openai_type = anthropic_type = "invalid_request_error"


class IdempotencyKeyMismatch(GatewayError):
    """The key belongs to another request."""

    status, code = 422, "idempotency_key_mismatch"
    openai_type = anthropic_type = "invalid_request_error"


class NotFound(GatewayError):
    """There is no such route."""

    status, code = 404, "not_found"
    openai_type, anthropic_type = "invalid_request_error", "not_found_error"


class MethodNotAllowed(GatewayError):
    """The route exists, but not with this method."""

    status, code = 405, "method_not_allowed"
    openai_type = anthropic_type = "invalid_request_error"


class ServiceUnavailable(GatewayError):
    """This process can't take the request now; another may, or this one in a moment."""

    status, code = 503, "service_unavailable"
    anthropic_type = "overloaded_error"


class UpstreamError(GatewayError):
    """The provider gave no answer at all."""


class UpstreamUnavailable(UpstreamError):
    """The connection was refused, reset, or cut before the first byte."""

    status, code = 502, "upstream_unavailable"


class UpstreamTimeout(UpstreamError):
    """The provider took too long."""

    status, code = 504, "upstream_timeout"
    anthropic_type = "timeout_error"


def openai_body(error: GatewayError) -> bytes:
    """Return the error as OpenAI's SDKs expect it."""
    fields = {"message": error.message, "type": error.openai_type, "param": error.param, "code": error.code}
    return msgspec.json.encode({"error": fields})


def anthropic_body(error: GatewayError, *, request_id: str) -> bytes:
    """Return the error as Anthropic's SDKs expect it. The field stands before the message: it has no other place."""
    message = f"{error.param}: {error.message}" if error.param else error.message
    fields = {"type": error.anthropic_type, "message": message}
    return msgspec.json.encode({"type": "error", "error": fields, "request_id": request_id})
