"""The gateway's HTTP edge: raw ASGI for ``/v1``, no Django request and no middleware."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, cast

import structlog

from llm.answering import Headers, Reply
from llm.errors import (
    GatewayError,
    InvalidAgentToken,
    MethodNotAllowed,
    NotFound,
    RequestTooLarge,
    anthropic_body,
    openai_body,
)
from llm.gateway import Gateway
from llm.requests import Call, read_chat, read_embeddings, read_messages, read_responses
from metering.usage import record_id

MESSAGES: Final = "/v1/messages"
MODELS: Final = "/v1/models"
LARGEST_BODY: Final = 16 * 1024 * 1024
# More than this isn't read to its end for the sake of a polite refusal.
PATIENCE_WITH_BODIES: Final = 4 * LARGEST_BODY
WATCH_AFTER: Final = 0.02  # seconds, or up to twice that, until somebody looks whether the caller is still there

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Mapping[str, Any]], Coroutine[Any, Any, None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Call, Reply], Coroutine[Any, Any, None]]

log = structlog.get_logger(__name__)


class Disconnected(Exception):
    """The caller went away before its request was whole."""


class HttpReply:
    """Sends an answer over ASGI, with the request's id on it, where ``anthropic``'s dialect has it or OpenAI's."""

    __slots__ = ("_anthropic", "_head", "_request_id", "_send", "begun")

    def __init__(self, send: Send, request_id: str, *, anthropic: bool) -> None:
        self._send = send
        self._request_id = request_id
        self._anthropic = anthropic
        self._head: Message | None = None
        self.begun = False

    async def start(self, status: int, headers: Headers) -> None:
        """Keep the head until the first bytes, whose length may belong in it."""
        headers.append((b"request-id" if self._anthropic else b"x-request-id", self._request_id.encode()))
        self._head = {"type": "http.response.start", "status": status, "headers": headers}

    async def send(self, data: bytes) -> None:
        """Send a part of a stream."""
        if self._head:
            await self._send_head(self._head)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        """Send the rest; a whole answer gets its length."""
        if self._head:
            self._head["headers"].append((b"content-length", b"%d" % len(data)))
            await self._send_head(self._head)
        await self._send({"type": "http.response.body", "body": data})

    async def refuse(self, error: GatewayError) -> None:
        """Tell the caller in the dialect's words; in mid-stream there is nothing left to do but stop."""
        if self.begun:
            await self.end(b"")
            return
        headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
        await self.start(error.status, [(b"content-type", b"application/json"), *headers])
        body = anthropic_body(error, request_id=self._request_id) if self._anthropic else openai_body(error)
        await self.end(body)

    async def _send_head(self, head: Message) -> None:
        self._head = None
        self.begun = True
        await self._send(head)


class Callers:
    """Watches for callers who go away, and cancels what is done for them.

    A watcher is a task, which costs more than all else that the edge does: requests that end at once do without.
    One timer for all of them looks who has been here for a while.
    """

    def __init__(self) -> None:
        self._new: dict[asyncio.Task[None], Receive] = {}
        self._known: dict[asyncio.Task[None], Receive] = {}  # since the timer's last turn at least
        self._watchers: dict[asyncio.Task[None], asyncio.Task[None]] = {}
        self._gone: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, task: "asyncio.Task[None]", receive: Receive) -> None:
        """Cancel ``task`` when its caller goes away, until it is forgotten."""
        self._new[task] = receive
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._look)

    def gone(self, task: "asyncio.Task[None]") -> bool:
        """Tell whether it was the task's caller who cancelled it."""
        return task in self._gone

    def forget(self, task: "asyncio.Task[None]") -> None:
        """Stop watching."""
        if self._new.pop(task, None) or self._known.pop(task, None):
            return
        self._gone.discard(task)
        if watcher := self._watchers.pop(task, None):
            watcher.cancel()

    def _look(self) -> None:
        for task, receive in self._known.items():
            self._watchers[task] = asyncio.create_task(self._watch(task, receive))
        self._known, self._new = self._new, {}
        busy = bool(self._known)
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._look) if busy else None

    async def _watch(self, task: "asyncio.Task[None]", receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone.add(task)
        task.cancel()


class GatewayApp:
    """The ASGI application under ``/v1``."""

    def __init__(self, gateway: Gateway, *, refused: Callable[[str], None] | None = None) -> None:
        """Answer with ``gateway``; tell ``refused`` the code of every error of ours."""
        self._refused = refused
        self._callers = Callers()
        self._routes: dict[str, dict[str, Handler]] = {
            "/v1/chat/completions": {"POST": partial(gateway.complete, read=read_chat)},
            "/v1/responses": {"POST": partial(gateway.complete, read=read_responses)},
            "/v1/embeddings": {"POST": partial(gateway.complete, read=read_embeddings)},
            MESSAGES: {"POST": partial(gateway.complete, read=read_messages)},
            f"{MESSAGES}/count_tokens": {"POST": gateway.count_tokens},
            MODELS: {"GET": gateway.models},
            "/v1/feedback": {"POST": gateway.feedback},
        }
        self._model = gateway.models

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id = record_id()
        reply = HttpReply(send, request_id, anthropic=_is_anthropic(scope["path"]))
        task = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            handler = self._handler(scope)
            headers = dict(scope["headers"])
            body = await _body(receive)
            call = Call(id=request_id, token=_token(headers), body=body, headers=headers)
            self._callers.watch(task, receive)
            await handler(call, reply)
        except Disconnected:
            return
        except asyncio.CancelledError:
            if not self._callers.gone(task):
                raise  # the server is stopping
            task.uncancel()
        except GatewayError as error:
            if self._refused:
                self._refused(error.code)
            await reply.refuse(error)
        except Exception:
            # Logged without its words, which may quote a prompt: see vutler.logs.
            log.exception("gateway_failed", request_id=request_id)
            if self._refused:
                self._refused(GatewayError.code)
            await reply.refuse(GatewayError("Something went wrong on our side. The request id helps us find it."))
        finally:
            self._callers.forget(task)

    def _handler(self, scope: Scope) -> Handler:
        path: str = scope["path"]
        methods = self._routes.get(path)
        if methods is None:
            # Names may hold slashes: OpenRouter's do.
            name = path.removeprefix(f"{MODELS}/")
            if name in (path, ""):
                raise NotFound(f"There is no {path} here.")
            methods = {"GET": partial(self._model, name=name)}
        handler = methods.get(scope["method"])
        if handler is None:
            allowed = ", ".join(methods)
            raise MethodNotAllowed(f"Use {allowed} here.", headers={"allow": allowed})
        return handler


def _is_anthropic(path: str) -> bool:
    """Whether what answers at ``path`` speaks Anthropic's dialect, errors included."""
    return path == MESSAGES or path.startswith(f"{MESSAGES}/")


async def _body(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return _within_limit(body, len(body))
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size <= LARGEST_BODY:
            parts.append(part)
        elif size > PATIENCE_WITH_BODIES:
            break
    return _within_limit(b"".join(parts), size)


def _within_limit(body: bytes, size: int) -> bytes:
    if size > LARGEST_BODY:
        raise RequestTooLarge(f"The body is over {LARGEST_BODY // 1024 // 1024} MiB. Send less in one request.")
    return body


def _token(headers: dict[bytes, bytes]) -> str:
    """Return the agent's token from ``Authorization: Bearer`` or ``x-api-key``."""
    scheme, _space, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token:
        token = headers.get(b"x-api-key", b"").decode("latin-1")
    if not token:
        raise InvalidAgentToken("Send the agent's token: `Authorization: Bearer vtl_agent_…`.")
    return token.strip()
