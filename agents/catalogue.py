"""Providers, models offered and agent templates: data, no Django."""

import tomllib
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

CUSTOM: Final = "custom"
ECHO: Final = "echo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A company (or the owner's own server) that answers completions.

    ``base_url`` is in the form that the provider's own SDK takes. ``models`` are those we offer by name,
    the first being the suggestion.
    """

    id: str
    name: str
    base_url: str
    key_prefix: str
    note: str
    models: tuple[str, ...]
    eu_hosted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What an owner counts instead of tokens: a ``unit`` of so many ``tokens``, priced by the ``batch``."""

    unit: str
    tokens: Fraction
    batch: int

    def about(self, tokens: int) -> int:
        """Return about how many units ``tokens`` are for: two digits, the rest zeros."""
        count = int(tokens / self.tokens)
        return round(count, 2 - len(str(count)))

    @property
    def batch_tokens(self) -> int:
        """Tokens in a batch."""
        return round(self.tokens * self.batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A kind of agent to start from, with its usual month (tokens, and units of work) and the tier that suits it."""

    id: str
    name: str
    description: str
    tokens_input: int
    tokens_output: int
    tier: str
    unit: str
    units: int
    batch: int

    @property
    def measure(self) -> Measure:
        """What its owner counts."""
        tokens = Fraction(self.tokens_input + self.tokens_output, self.units)
        return Measure(unit=self.unit, tokens=tokens, batch=self.batch)


# Of an agent that started from nothing: an answer of about 500 words, with what was asked.
ANSWERS: Final = Measure(unit="answer", tokens=Fraction(1000), batch=100)


# Answers without a key or a network, for trying the product out; offered only where an address is set for it.
ECHO_PROVIDER: Final = Provider(
    id=ECHO,
    name="Echo (built in)",
    base_url="",
    key_prefix="",
    note="Repeats what it is told, for trying things out",
    models=("echo-1",),
)


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text())


@cache
def providers() -> dict[str, Provider]:
    """Return every provider by its id, in the order in which they are offered."""
    rows = [Provider(**{**row, "models": tuple(row["models"])}) for row in _data()["provider"]]
    return {row.id: row for row in [*rows, ECHO_PROVIDER]}


def offered(*, echo: bool) -> list[Provider]:
    """Return the providers to choose from, the built-in one only where it can be reached (``echo``)."""
    return [row for row in providers().values() if echo or row.id != ECHO]


@cache
def templates() -> dict[str, Template]:
    """Return every agent template by its id."""
    return {row["id"]: Template(**row) for row in _data()["template"]}


def measure(template: str) -> Measure:
    """Return what the owner of an agent from ``template`` (or from none) counts."""
    known = templates().get(template)
    return known.measure if known else ANSWERS
