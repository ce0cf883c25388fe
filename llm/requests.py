"""Requests as they came: their bytes, and the little that the gateway itself reads of them.

What isn't read here is the provider's business: unknown fields pass, and new ones need no release of ours.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from llm.errors import InvalidRequest

LONGEST_MODEL_NAME: Final = 200
# All that Anthropic is told of the caller's headers: how its dialect is spoken.
ANTHROPIC_HEADERS: Final = ("anthropic-version", "anthropic-beta")

Fields = TypeVar("Fields")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the edge read it; header names are lower-case. Its id becomes the record's."""

    id: str
    token: str
    body: bytes
    headers: Mapping[bytes, bytes]

    def __repr__(self) -> str:
        return f"Call({self.id})"


class StreamOptions(msgspec.Struct, frozen=True):
    """The one streaming option that concerns us."""

    include_usage: bool | None = None


class _ChatFields(msgspec.Struct, frozen=True):
    messages: list[msgspec.Raw]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Any = None
    metadata: Any = None


class _MessagesFields(msgspec.Struct, frozen=True):
    messages: list[msgspec.Raw]
    model: str | None = None
    stream: bool | None = None
    user: Any = None
    metadata: Any = None


class _ResponsesFields(msgspec.Struct, frozen=True):
    # Either may be missing: OpenAI keeps prompts, and earlier responses, to be named instead.
    input: msgspec.Raw = msgspec.Raw()
    model: str | None = None
    stream: bool | None = None
    background: bool | None = None
    user: Any = None
    metadata: Any = None


class _EmbeddingsFields(msgspec.Struct, frozen=True):
    input: msgspec.Raw
    model: str | None = None


class _Bounds(msgspec.Struct, frozen=True):
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None


_read_bounds: Final = msgspec.json.Decoder(_Bounds).decode
_read_chat: Final = msgspec.json.Decoder(_ChatFields).decode
_read_messages: Final = msgspec.json.Decoder(_MessagesFields).decode
_read_responses: Final = msgspec.json.Decoder(_ResponsesFields).decode
_read_embeddings: Final = msgspec.json.Decoder(_EmbeddingsFields).decode
_read_values: Final[Callable[[bytes], dict[str, Any]]] = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_write: Final = msgspec.json.Encoder().encode


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request of any dialect: its type says which. ``model`` is the one it names, or else its agent's own.

    ``end_user`` is whom it says that it's for, if it does.
    """

    id: str
    body: bytes
    model: str
    names_model: bool
    stream: bool
    end_user: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"

    def most_output(self) -> int | None:
        """Return the bound that the request sets on its answer, in tokens, if it sets one."""
        bounds = read_fields(_read_bounds, self.body)
        return bounds.max_completion_tokens or bounds.max_output_tokens or bounds.max_tokens

    def with_model(self) -> bytes:
        """Return the body as it is where it names its model, and with ``model`` in it where not."""
        return self.body if self.names_model else with_fields(self.body, {"model": self.model})


class ChatRequest(Request, frozen=True, kw_only=True):
    """OpenAI's chat completions. ``wants_usage``: the caller asked for the chunk that reports it."""

    wants_usage: bool


class MessagesRequest(Request, frozen=True, kw_only=True):
    """Anthropic's messages. ``forwarded`` are the caller's headers that say how the dialect is spoken."""

    forwarded: dict[str, str]


class ResponsesRequest(Request, frozen=True, kw_only=True):
    """OpenAI's responses."""


class EmbeddingsRequest(Request, frozen=True, kw_only=True):
    """OpenAI's embeddings."""


# Reads a request, with the model that serves where it names none.
Read = Callable[[Call, str], Request]


def read_chat(call: Call, default_model: str) -> ChatRequest:
    """Read a chat completion request; ``default_model`` serves where it names none.

    Raises:
        InvalidRequest: when it can't be read; names the field.
    """
    fields = read_fields(_read_chat, call.body)
    return ChatRequest(
        id=call.id,
        body=call.body,
        model=_model(fields.model, default_model),
        names_model=fields.model is not None,
        stream=bool(fields.stream),
        end_user=_end_user(fields) if fields.user or fields.metadata else "",
        wants_usage=bool(fields.stream_options and fields.stream_options.include_usage),
    )


def read_messages(call: Call, default_model: str) -> MessagesRequest:
    """Read a request for messages; ``default_model`` serves where it names none.

    Raises:
        InvalidRequest: when it can't be read; names the field.
    """
    fields = read_fields(_read_messages, call.body)
    sent = {name: call.headers.get(name.encode(), b"").decode("latin-1") for name in ANTHROPIC_HEADERS}
    return MessagesRequest(
        id=call.id,
        body=call.body,
        model=_model(fields.model, default_model),
        names_model=fields.model is not None,
        stream=bool(fields.stream),
        end_user=_end_user(fields) if fields.user or fields.metadata else "",
        forwarded={name: value for name, value in sent.items() if value and value.isascii() and value.isprintable()},
    )


def read_responses(call: Call, default_model: str) -> ResponsesRequest:
    """Read a request for a response; ``default_model`` serves where it names none.

    Raises:
        InvalidRequest: when it can't be read, or asks to go on in the background; names the field.
    """
    fields = read_fields(_read_responses, call.body)
    if fields.background:
        # Nobody would be here to count what it uses.
        raise InvalidRequest("A response can't be made in the background here.", param="background")
    return ResponsesRequest(
        id=call.id,
        body=call.body,
        model=_model(fields.model, default_model),
        names_model=fields.model is not None,
        stream=bool(fields.stream),
        end_user=_end_user(fields) if fields.user or fields.metadata else "",
    )


def read_embeddings(call: Call, default_model: str) -> EmbeddingsRequest:
    """Read a request for embeddings; ``default_model`` serves where it names none.

    Raises:
        InvalidRequest: when it can't be read; names the field.
    """
    fields = read_fields(_read_embeddings, call.body)
    return EmbeddingsRequest(
        id=call.id,
        body=call.body,
        model=_model(fields.model, default_model),
        names_model=fields.model is not None,
        stream=False,
    )


def with_fields(body: bytes, fields: dict[str, Any], *, without: str = "") -> bytes:
    """Return a JSON object with ``fields`` set and one left out; every other value keeps its bytes."""
    values = _read_values(body)
    if without:
        values.pop(without, None)
    values.update(fields)
    return _write(values)


def read_fields(decode: Callable[[bytes], Fields], body: bytes) -> Fields:
    """Return what ``decode`` makes of a body.

    Raises:
        InvalidRequest: when it can't be read; names the field.
    """
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(error) from None


def _end_user(fields: _ChatFields | _MessagesFields | _ResponsesFields) -> str:
    """Return the end user's name. What isn't text names nobody, and is the provider's to refuse."""
    in_metadata = fields.metadata.get("user_id") if isinstance(fields.metadata, dict) else None
    return next((each for each in (fields.user, in_metadata) if each and isinstance(each, str)), "")


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
