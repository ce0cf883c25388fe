"""Sealing every secret again under the first key of ``FIELD_ENCRYPTION_KEYS``, while everything goes on running.

The columns are found by themselves: every :class:`agents.fields.SealedField`, whose model says in ``context`` which
place a row's secret belongs to. Each row is a step of its own, so that stopping half-way loses nothing, and a row is
only written where it still holds what was read, so that a key which its owner replaces meanwhile stays. Second
factors are the exception to "by themselves": django-allauth stores them in JSON (:mod:`agents.second_factors`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from django.apps import apps
from django.db.models import Model, QuerySet

from agents import second_factors
from agents.crypto import CannotOpen, KeyRing
from agents.fields import SealedField, key_ring

BATCH: Final = 500  # rows


class Outcome(Enum):
    """What became of a row's secret."""

    RESEALED = "resealed"
    UNREADABLE = "unreadable"
    LEFT = "left"  # replaced, resealed or deleted by somebody else meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One row and what became of its secret. ``place`` reads ``agents.ProviderKey.sealed_secret <id>``."""

    place: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of sealed values."""

    model: type[Model]
    name: str

    def rows(self) -> QuerySet[Any]:
        """Return every row that holds a secret."""
        return self.model._base_manager.exclude(**{self.name: None})

    def due(self, ring: KeyRing) -> QuerySet[Any]:
        """Return the rows whose secret isn't under the ring's first key."""
        return self.rows().exclude(**{f"{self.name}__startswith": ring.current_mark}).order_by("pk")


def columns() -> list[Column]:
    """Return every sealed column of every model."""
    return [
        Column(model=model, name=field.name)
        for model in apps.get_models()
        for field in model._meta.local_concrete_fields
        if isinstance(field, SealedField)
    ]


def due() -> int:
    """Return how many secrets aren't under the first key."""
    ring = key_ring()
    return sum(column.due(ring).count() for column in columns()) + len(second_factors.due(ring))


def rotate() -> Iterator[Step]:
    """Seal again what isn't under the first key, a row at a time."""
    ring = key_ring()
    for column in columns():
        for row in _in_batches(column.due(ring)):
            yield Step(
                place=f"{column.model._meta.label}.{column.name} {row.pk}", outcome=_reseal(row, column, ring=ring)
            )
    for factor in second_factors.due(ring):
        yield Step(place=f"mfa.Authenticator {factor.pk}", outcome=_reseal_factor(factor, ring=ring))


def _reseal_factor(factor: Any, *, ring: KeyRing) -> Outcome:
    try:
        if second_factors.reseal(factor, ring=ring):
            return Outcome.RESEALED
        # A recovery code was used meanwhile, or the factor is gone.
        fresh = next((each for each in second_factors.due(ring) if each.pk == factor.pk), None)
        return _reseal_factor(fresh, ring=ring) if fresh else Outcome.LEFT
    except CannotOpen:
        return Outcome.UNREADABLE


def _in_batches(rows: QuerySet[Any]) -> Iterator[Any]:
    # By key, not by offset: what is resealed drops out of the query, what can't be opened stays in it.
    batch = list(rows[:BATCH])
    while batch:
        yield from batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH])


def _reseal(row: Any, column: Column, *, ring: KeyRing) -> Outcome:
    sealed = getattr(row, column.name)
    try:
        secret = ring.open(sealed, context=row.context)
    except CannotOpen:
        return Outcome.UNREADABLE
    again = ring.seal(secret.reveal(), context=row.context)
    unchanged = column.rows().filter(pk=row.pk, **{column.name: sealed})
    if unchanged.update(**{column.name: again}):
        return Outcome.RESEALED
    fresh = column.rows().filter(pk=row.pk).first()
    if fresh is None or ring.is_current(getattr(fresh, column.name)):
        return Outcome.LEFT
    # Replaced by a process that has the old keys still.
    return _reseal(fresh, column, ring=ring)
