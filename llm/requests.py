"""Requests as they came: their bytes, and the little that the gateway itself reads of them.

What isn't read here is the provider's business: unknown fields pass, and new ones need no release of ours.
"""

from typing import Any, Final

import msgspec

from llm.errors import InvalidRequest

LONGEST_MODEL_NAME: Final = 200


class StreamOptions(msgspec.Struct, frozen=True):
    """The one streaming option that concerns us."""

    include_usage: bool | None = None


class _ChatFields(msgspec.Struct, frozen=True):
    messages: list[msgspec.Raw]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


_read_chat = msgspec.json.Decoder(_ChatFields).decode


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request of any dialect. ``model`` is the one it names, or else its agent's own."""

    body: bytes
    model: str
    names_model: bool
    stream: bool

    def decoded(self) -> dict[str, Any]:
        """Return the whole body as Python values."""
        value: dict[str, Any] = msgspec.json.decode(self.body)
        return value


class ChatRequest(Request, frozen=True, kw_only=True):
    """OpenAI's chat completions. ``wants_usage``: the caller asked for the chunk that reports it."""

    wants_usage: bool


def read_chat(body: bytes, *, default_model: str) -> ChatRequest:
    """Read a chat completion request; ``default_model`` serves where it names none.

    Raises:
        InvalidRequest: when it can't be read; names the field.
    """
    try:
        fields = _read_chat(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _unreadable(error) from None
    return ChatRequest(
        body=body,
        model=_model(fields.model, default_model),
        names_model=fields.model is not None,
        stream=bool(fields.stream),
        wants_usage=bool(fields.stream_options and fields.stream_options.include_usage),
    )


def _model(named: str | None, default: str) -> str:
    name = default if named is None else named
    if not name:
        raise InvalidRequest("Name a model, here or in the agent's settings.", param="model")
    if len(name) > LONGEST_MODEL_NAME or not name.isascii() or not name.isprintable():
        raise InvalidRequest("That isn't the name of a model.", param="model")
    return name


def _unreadable(error: Exception) -> InvalidRequest:
    """Turn ``Expected `str`, got `int` - at `$.model``` into a sentence that names the field."""
    if not isinstance(error, msgspec.ValidationError):
        return InvalidRequest(f"The body isn't valid JSON: {error}")
    what, _at, path = str(error).partition(" - at `$.")
    param = path.rstrip("`") or None
    if param:
        return InvalidRequest(f"{what} in `{param}`.", param=param)
    if "missing required field" in what:
        param = what.split("`")[1]
    return InvalidRequest(f"{what}.", param=param)
