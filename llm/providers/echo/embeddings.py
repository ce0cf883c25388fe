"""OpenAI's embeddings: the same text gets the same vector, of length 1, that means nothing."""

import base64
import hashlib
import math
from array import array
from typing import Annotated, Any

import msgspec

from llm.providers.echo.prompt import count

Dimensions = Annotated[int, msgspec.Meta(ge=1, le=4096)]


class Body(msgspec.Struct):
    """The body of a request. Input comes as text or as tokens, one or many."""

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: str = "float"
    dimensions: Dimensions | None = None


_decoder = msgspec.json.Decoder(Body)


def read(data: bytes) -> tuple[Body, list[str | list[int]]]:
    """Return the request, and the things to embed.

    Raises:
        msgspec.MsgspecError: when it isn't an embeddings request.
    """
    body = _decoder.decode(data)
    if isinstance(body.input, str):
        return body, [body.input]
    numbers = [item for item in body.input if isinstance(item, int)]
    if numbers:
        return body, [numbers]
    return body, [item for item in body.input if not isinstance(item, int)]


def whole(body: Body, things: list[str | list[int]]) -> dict[str, Any]:
    """Return the body of the answer. Its vectors have 64 dimensions, unless others are asked for."""
    as_text = body.encoding_format == "base64"
    data = []
    for index, thing in enumerate(things):
        vector = _vector(thing, body.dimensions or 64)
        value = base64.b64encode(vector.tobytes()).decode() if as_text else vector.tolist()
        data.append({"object": "embedding", "index": index, "embedding": value})
    tokens = sum(count(thing) if isinstance(thing, str) else len(thing) for thing in things)
    used = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body.model, "usage": used}


def _vector(thing: str | list[int], dimensions: int) -> "array[float]":
    noise = hashlib.shake_256(msgspec.json.encode(thing)).digest(dimensions)
    raw = [byte - 127.5 for byte in noise]
    length = math.sqrt(sum(number * number for number in raw))
    return array("f", [number / length for number in raw])
