"""One request, from its key to its answer."""

import itertools
from typing import Any, Final

import msgspec

from llm.providers.echo import chat, embeddings, lists, messages, responses
from llm.providers.echo.answer import Answer, answer
from llm.providers.echo.directives import PLAIN, Behaviour, behaviour, in_header, in_text
from llm.providers.echo.exchange import Exchange, Headers, Stream
from llm.providers.echo.habits import HABITS, Habits
from llm.providers.echo.prompt import Prompt
from llm.providers.echo.refusals import Refusal, anthropic_error, no_credit, openai_error, unreadable

METHODS: Final = {
    "chat/completions": "POST",
    "responses": "POST",
    "embeddings": "POST",
    "messages": "POST",
    "messages/count_tokens": "POST",
    "models": "GET",
    "key": "GET",
}
_OPENAI_LIMITS: Final = [(b"x-ratelimit-limit-requests", b"10000"), (b"x-ratelimit-remaining-requests", b"9999")]
_ANTHROPIC_LIMITS: Final = [
    (b"anthropic-ratelimit-requests-limit", b"1000"),
    (b"anthropic-ratelimit-requests-remaining", b"999"),
]
_numbers = itertools.count(1)


class Turn:
    """Answers one request whose body is there. ``scripted`` is how requests are treated that ask for nothing else."""

    def __init__(self, exchange: Exchange, *, route: str, body: bytes, scripted: Behaviour) -> None:
        headers = exchange.headers
        self._exchange = exchange
        self._route = route
        self._body = body
        self._behaviour = scripted
        self._provider = exchange.provider
        self._key = headers.get(b"x-api-key", headers.get(b"authorization", b"")).decode("latin-1")
        self._key = self._key.removeprefix("Bearer ").strip()
        self._anthropic = route.startswith("messages") or (
            route.startswith("models") and (b"anthropic-version" in headers or b"x-api-key" in headers)
        )
        self._id = f"echo{next(_numbers)}"

    @property
    def _habits(self) -> Habits:
        return HABITS[self._provider]

    async def run(self) -> None:
        """Answer, with an error if need be."""
        try:
            self._treat(in_header(self._exchange.headers.get(b"x-echo", b"").decode("latin-1")))
            self._check_key()
            await self._answer()
        except Refusal as refusal:
            await self._refuse(refusal)
        except msgspec.MsgspecError as error:
            await self._refuse(unreadable(error))

    def _treat(self, asked: dict[str, str]) -> None:
        self._behaviour = behaviour(base=self._behaviour, asked=asked)
        self._provider = self._behaviour.provider or self._provider

    def _check_key(self) -> None:
        if self._key.startswith("bad") or not (self._key or self._habits.keyless):
            raise Refusal(401, "Incorrect API key provided.")
        if METHODS.get(self._route) != "POST":
            return
        if self._key.startswith("poor"):
            raise no_credit(self._provider, anthropic=self._anthropic)
        if self._key.startswith("slow"):
            raise Refusal(429, "Rate limit reached.", retry_after=1)

    async def _answer(self) -> None:
        name = self._route.removeprefix("models/")
        if self._exchange.scope["method"] != METHODS.get("models" if name != self._route else self._route):
            raise Refusal(404, "There is no such route.")
        match self._route:
            case "models":
                await self._say(lists.models(self._provider, anthropic=self._anthropic))
            case "key":
                await self._say(lists.key(self._key))
            case "embeddings":
                await self._embed()
            case "messages/count_tokens":
                prompt = messages.read(self._body, counting=True)
                await self._say({"input_tokens": prompt.tokens})
            case "chat/completions" | "responses" | "messages":
                await self._generate(self._prompt())
            case _:
                _check_model(name)
                await self._say(lists.model(name, anthropic=self._anthropic))

    def _prompt(self) -> Prompt:
        match self._route:
            case "messages":
                if b"anthropic-version" not in self._exchange.headers:
                    raise Refusal(400, "anthropic-version: header is required")
                return messages.read(self._body)
            case "responses":
                return responses.read(self._body)
        return chat.read(self._body, habits=self._habits)

    async def _generate(self, prompt: Prompt) -> None:
        prompt.said, asked = in_text(prompt.said)
        self._treat(asked)
        _check_model(prompt.model)
        await self._wait()
        found = answer(prompt, self._behaviour)
        if prompt.stream:
            stream = self._stream(found, prompt)
            await self._exchange.stream(stream, headers=self._headers(), behaviour=self._behaviour)
        else:
            await self._send(self._whole(found))

    async def _embed(self) -> None:
        body, things = embeddings.read(self._body)
        if things and isinstance(things[-1], str):
            self._treat(in_text(things[-1])[1])
        _check_model(body.model)
        await self._wait()
        await self._send(embeddings.whole(body, things))

    async def _wait(self) -> None:
        """Wait for as long as was asked, and then fail if that was asked too."""
        asked = self._behaviour
        if asked.delay:
            await self._exchange.pause(asked.delay)
        if asked.error == "no_credit":
            raise no_credit(self._provider, anthropic=self._anthropic)
        if asked.status is not None:
            raise Refusal(asked.status, self._about_key(), retry_after=asked.retry_after)

    def _about_key(self) -> str:
        """Return what it says of the key that it was sent; nothing where it wasn't told to quote it."""
        return f"Incorrect API key provided: {self._key}." if self._behaviour.quote_key else ""

    def _whole(self, found: Answer) -> dict[str, Any]:
        match self._route:
            case "messages":
                return messages.whole(found, self._behaviour, request_id=self._id)
            case "responses":
                return responses.whole(found, self._behaviour, request_id=self._id)
        return chat.whole(found, self._behaviour, habits=self._habits, request_id=self._id)

    def _stream(self, found: Answer, prompt: Prompt) -> Stream:
        error = self._error(Refusal(529, self._about_key() or "Overloaded."))
        match self._route:
            case "messages":
                return messages.stream(found, self._behaviour, request_id=self._id, error=error)
            case "responses":
                return responses.stream(found, self._behaviour, request_id=self._id, error=error)
        return chat.stream(found, self._behaviour, prompt=prompt, habits=self._habits, request_id=self._id, error=error)

    async def _say(self, value: dict[str, Any]) -> None:
        await self._wait()
        await self._send(value)

    async def _send(self, value: dict[str, Any]) -> None:
        body = msgspec.json.encode(value)
        await self._exchange.answer(200, body, headers=self._headers(), behaviour=self._behaviour)

    async def _refuse(self, refusal: Refusal) -> None:
        headers = self._headers()
        if refusal.retry_after is not None:
            headers.append((b"retry-after", f"{refusal.retry_after:g}".encode()))
        body = msgspec.json.encode(self._error(refusal))
        await self._exchange.answer(refusal.status, body, headers=headers, behaviour=PLAIN)

    def _error(self, refusal: Refusal) -> dict[str, Any]:
        if self._anthropic:
            return anthropic_error(refusal, request_id=f"req_{self._id}")
        return openai_error(refusal, provider=self._provider)

    def _headers(self) -> Headers:
        name = f"req_{self._id}".encode()
        if self._anthropic:
            return [(b"request-id", name), *_ANTHROPIC_LIMITS]
        return [(b"x-request-id", name), *_OPENAI_LIMITS]


def _check_model(name: str) -> None:
    if name.startswith("no-such"):
        raise Refusal(404, f"The model `{name}` does not exist or you do not have access to it.", param="model")
