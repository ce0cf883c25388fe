"""A prompt's answers on their way to the page: server-sent events, written as the columns speak."""

import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils import translation

from llm.compare import showing
from llm.compare.asking import STOPPED, Answered, Round, Words
from llm.compare.rounds import Asking


def stream(request: HttpRequest, asking: Asking) -> HttpResponse:
    """Return the answer that streams. Whoever stops reading it stops the columns."""
    writer = _Writer(asking, csrf_token=get_token(request))
    answer = StreamingHttpResponse(
        writer.events(asking.round()),
        content_type="text/event-stream; charset=utf-8",
        # No proxy may hold pieces back.
        headers={"x-accel-buffering": "no"},
    )
    return cast("HttpResponse", answer)  # for whoever only passes it on, it is one


class _Writer:
    """Writes the events of one prompt: ``round`` (its empty cards), ``words``, ``answer`` (a card's foot), ``summary``.

    The data of each is a JSON object; what is HTML in it is escaped already.
    """

    def __init__(self, asking: Asking, *, csrf_token: str) -> None:
        self._asking = asking
        self._csrf_token = csrf_token
        order = showing.order(asking.comparison, asking.number)
        self._places = {column: place for place, column in enumerate(order)}

    async def events(self, round_: Round) -> AsyncGenerator[bytes, None]:
        """Give the events as they happen, and keep what became of each answer, however this ends."""
        open_answers = {each.column: each for each in (*round_.answers, *self._asking.refused)}
        empty = showing.before(self._asking.comparison, self._asking.number, self._asking.prompt)
        try:
            yield self._event("round", html=self._html("_round.html", round=empty, comparison=self._asking.comparison))
            for refused in self._asking.refused:
                yield await self._ended(open_answers.pop(refused.column))
            async with aclosing(round_.events()) as events:
                async for event in events:
                    if isinstance(event, Words):
                        yield self._event("words", place=self._places[event.column], text=event.text)
                    else:
                        yield await self._ended(open_answers.pop(event.column))
            yield await self._last()
        finally:
            # Stopped: what was produced until then was used, and is in the meter as well.
            await self._keep(open_answers.values())

    async def _ended(self, answered: Answered) -> bytes:
        row = await sync_to_async(self._asking.settle)(answered)
        card = showing.card(self._asking.comparison, row)
        html = self._html("_foot.html", card=card, number=row.prompt, comparison=self._asking.comparison, oob=True)
        return self._event("answer", place=card.place, html=html, words=self._asking.words(answered))

    async def _last(self) -> bytes:
        """Return the prompt's cards once more, now that it is known what there is to vote on, and the summary."""
        context = await sync_to_async(showing.voted)(self._asking.comparison, self._asking.number)
        return self._event("summary", html=self._html("_voted.html", **context))

    async def _keep(self, left: Iterable[Answered]) -> None:
        for answered in list(left):
            answered.code = answered.code or STOPPED
            await sync_to_async(self._asking.settle)(answered)

    def _html(self, template: str, **context: Any) -> str:
        with translation.override(self._asking.language):
            return render_to_string(f"compare/{template}", {**context, "csrf_token": self._csrf_token})

    def _event(self, name: str, **data: Any) -> bytes:
        return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
