"""Estimates in tokens, for what no provider has counted: cut or unreported answers, and ``count_tokens``.

The tokenizer is OpenAI's ``o200k_base``, whose vocabulary comes inside the package (no download). Other models cut
text differently, Claude into more tokens. What isn't text counts by a fixed rule; base64 never counts as text. However
long a body is, only so much of it is looked at, and the rest is taken to be like it. Sources: Anthropic's "Vision" and
"PDF support", OpenAI's "Images and vision".
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import toktok

ENCODING: Final = "o200k_base"
BYTES_PER_TOKEN: Final = 4  # English prose; where there is no text to look at
MESSAGE: Final = 3  # tokens around each message and for the start of the answer
IMAGE: Final = 1_000  # tokens: about a megapixel
DOCUMENT: Final = 3_000  # tokens: a page or two
SOUND: Final = 500  # tokens: a minute or so
LOOKED_AT: Final = 256 * 1024  # characters
SLICES: Final = 32
READ_AT_MOST: Final = 1024 * 1024  # bytes of a body to decode; longer ones are judged by their raw text
SAMPLE: Final = 4_096  # characters of an answer to remember

_PROMPT: Final = ("system", "instructions", "messages", "input")
_FORMS: Final = ("tools", "functions", "response_format", "output_config", "text")
_MESSAGES: Final = ("messages", "input")
_NO_TEXT: Final = frozenset(
    {"type", "role", "id", "tool_call_id", "tool_use_id", "call_id", "signature", "data", "encrypted_content"}
    | {"cache_control", "detail", "status", "is_error", "index", "annotations"}
)
_FIXED: Final = {
    "image": IMAGE,
    "image_url": IMAGE,
    "input_image": IMAGE,
    "document": DOCUMENT,
    "file": DOCUMENT,
    "input_file": DOCUMENT,
    "input_audio": SOUND,
}
_FIXED_RAW: Final = re.compile(rb'"type"\s*:\s*"(image|image_url|input_image|document|file|input_file|input_audio)"')
# A run of base64 letters, looked at from its beginning only: linear in the length of the body.
_BASE64: Final = re.compile(rb"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{512,}")


def load() -> None:
    """Read the vocabulary: half a second and 65 MB, better spent before the first request than in its midst."""
    _exactly([""])


def count(texts: Sequence[str]) -> int:
    """Return how many tokens ``texts`` are together. Beyond ``LOOKED_AT`` characters that is an extrapolation."""
    length = sum(map(len, texts))
    if length <= LOOKED_AT:
        return _exactly(texts)
    whole = "".join(texts)
    step, size = length // SLICES, LOOKED_AT // SLICES
    looked_at = [whole[at * step : at * step + size] for at in range(SLICES)]
    return _exactly(looked_at) * length // LOOKED_AT


def prompt(body: bytes) -> int:
    """Return how many tokens of input a request's body, of any dialect, probably is."""
    if len(body) > READ_AT_MOST:
        return _raw(body)
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _raw(body)
    seen = _Seen()
    for name in _PROMPT:
        seen.take(fields.get(name))
    forms = [msgspec.json.encode(fields[name]).decode() for name in _FORMS if fields.get(name)]
    messages = sum(len(fields[name]) for name in _MESSAGES if _is_conversation(fields.get(name)))
    around = MESSAGE * (messages + 1) if messages else 0
    return count(seen.texts + forms) + seen.fixed + around


class Output:
    """What a model has put out so far: enough of it to estimate its tokens, whatever its length."""

    __slots__ = ("_length", "_sample", "_sampled")

    def __init__(self) -> None:
        self._length = 0
        self._sample: list[str] = []
        self._sampled = 0

    def add(self, text: str) -> None:
        """Take in a piece of text: of an answer, its reasoning or a tool's arguments."""
        self._length += len(text)
        if self._sampled < SAMPLE:
            text = text[: SAMPLE - self._sampled]
            self._sample.append(text)
            self._sampled += len(text)

    @property
    def tokens(self) -> int:
        """How many tokens that probably is, at least one for any text at all."""
        if not self._sampled:
            return 0
        return max(_exactly(["".join(self._sample)]) * self._length // self._sampled, 1)


class _Seen:
    """What stands in a prompt: its texts, and the tokens of what isn't text."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.fixed = 0

    def take(self, value: Any) -> None:
        """Take in a value of a prompt, and all that is in it."""
        found = [value]
        while found:
            value = found.pop()
            if isinstance(value, str):
                self.texts.append(value)
            elif isinstance(value, list):
                found += value
            elif isinstance(value, dict):
                found += self._parts(value)
            elif isinstance(value, int) and not isinstance(value, bool):
                self.fixed += 1  # a token, as embeddings may be given them

    def _parts(self, value: dict[str, Any]) -> list[Any]:
        """Return what is to be looked at in a part of a prompt."""
        kind = value.get("type")
        fixed = _FIXED.get(kind) if isinstance(kind, str) else None
        if fixed is not None:
            self.fixed += fixed
            return []
        if kind == "tool_use":
            self.texts.append(msgspec.json.encode(value.get("input")).decode())
            return [value.get("name")]
        return [part for name, part in value.items() if name not in _NO_TEXT]


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _raw(body: bytes) -> int:
    """Estimate from the text of the JSON itself, its base64 left out."""
    fixed = sum(_FIXED[found.decode()] for found in _FIXED_RAW.findall(body))
    return count([_BASE64.sub(b"", body).decode(errors="replace")]) + fixed


def _exactly(texts: Sequence[str]) -> int:
    # A lone surrogate, which JSON can hold and UTF-8 can't, counts as a question mark.
    whole = [text.encode(errors="replace").decode() for text in texts]
    return sum(toktok.batch_count(whole, ENCODING, 1))
