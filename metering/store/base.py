"""What a store of usage records does."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from metering.models import UsageRecord
from metering.periods import Month
from metering.totals import Latency, Slice, Totals


class StoreUnavailable(Exception):
    """The database can't be reached or won't answer now: try again later, nothing was lost."""


class BadRecord(Exception):
    """At least one of the lines isn't a record that the table can hold; none of the batch was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentUsage:
    """One agent's month. Tokens, USD. ``unpriced`` counts the records whose cost nobody knows.

    ``providers`` are those that were asked, in alphabetical order.
    """

    agent_id: UUID
    requests: int
    tokens_input: int
    tokens_output: int
    cost_total: Decimal
    price_total: Decimal
    unpriced: int
    failed: int
    managed_tokens: int
    providers: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.tokens_input + self.tokens_output


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some records, the newest first, and where the next page begins (None at the end)."""

    records: Sequence[UsageRecord]
    next_cursor: str | None


class AgentSum(NamedTuple):
    """What an agent's records that count towards allowances add up to: how many there are, and their tokens."""

    workspace_id: UUID
    agent_id: UUID
    records: int
    tokens: int


class Counted(NamedTuple):
    """A record, as far as an invoice goes."""

    agent_id: UUID
    id: UUID
    tokens_input: int
    tokens_output: int


class OfSession(NamedTuple):
    """What an arm of an experiment did in a session. Requests that their caller left count nowhere but in the cost.

    ``ended`` are those that came to an end, well or not, ``answered`` those that came to a good one, which took
    ``latency_ms`` together; ``priced`` are those whose cost is known: ``cost_total`` USD; all have a ``price_total``.
    """

    arm: str
    session: str
    requests: int
    ended: int
    answered: int
    latency_ms: int
    priced: int
    cost_total: Decimal
    price_total: Decimal


Hours = Mapping[datetime, Collection[UUID]]  # agents by the hour (its first instant, UTC)


class Store(Protocol):
    """Appends records once each, and answers what they add up to."""

    def append(self, lines: Sequence[bytes]) -> int:
        """Store records given as JSON (``metering.record.Record``); return how many were new.

        A record whose id is there already is left alone. Of a batch with a bad record nothing is stored. Where the
        database goes away meanwhile, some may be, and the same batch again stores the rest.

        Raises:
            StoreUnavailable: when the database is away.
            BadRecord: when a line can't be stored whatever the weather.
        """
        ...

    def usage(self, *, workspace_id: UUID, month: Month) -> list[AgentUsage]:
        """Return what each agent of the workspace used in the month, those with records only."""
        ...

    def month_tokens(self, *, agent_id: UUID, month: Month, leaving_out: Collection[UUID] = ()) -> int:
        """Return the tokens, input and output, that count towards the agent's allowance of the month.

        Requests on the owner's own key don't; nor do the records ``leaving_out``.
        """
        ...

    def tokens_since(self, *, since: datetime) -> Mapping[UUID, int]:
        """Return the tokens, input and output, that each agent used of our keys since a moment not long ago."""
        ...

    def records(
        self,
        *,
        workspace_id: UUID,
        month: Month | None = None,
        agent_id: UUID | None = None,
        status: str | None = None,
        request_type: str | None = None,
        day: date | None = None,
        managed: bool = False,
        before: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Return a page of the workspace's records, the newest first: all of them, or those that are like that.

        ``managed`` leaves out requests on the owner's own key, ``before`` what was stored after a mark.

        Raises:
            ValueError: for a cursor that no page gave.
        """
        ...

    def first_record_at(self, *, workspace_id: UUID) -> datetime | None:
        """Return when the workspace's oldest record is from."""
        ...

    # --- for roll-ups ---------------------------------------------------------------------------

    def mark(self) -> int:
        """Return a mark: every record that isn't there to be seen yet is after it, however long it takes to show.

        Raises:
            StoreUnavailable: when something is being stored that doesn't come to an end.
        """
        ...

    def touched(self, *, since: int, before: int) -> Hours:
        """Return whose hours got records between two marks (0: ever)."""
        ...

    def hours(self, *, day: date) -> Hours:
        """Return whose hours of a day (UTC) have records."""
        ...

    def slices(self, hours: Hours, *, before: int) -> Iterator[tuple[datetime, Slice, Totals]]:
        """Give what the records of these agents' hours add up to, those before a mark."""
        ...

    def latencies(self, hours: Hours, *, before: int) -> Iterator[Latency]:
        """Give how long the answered requests of these agents' hours took, to two digits (ms), those before a mark."""
        ...

    def recent(
        self, *, since: int, workspace_id: UUID, month: Month, agent_id: UUID | None = None
    ) -> Iterator[tuple[date, Slice, Totals]]:
        """Give what the records of the month add up to that were stored since a mark, by day."""
        ...

    def recent_latencies(self, *, since: int, agent_id: UUID, month: Month) -> Iterator[tuple[int, int]]:
        """Give how many of the agent's requests answered since a mark took how long, to two digits (ms)."""
        ...

    def days(self) -> tuple[date, date] | None:
        """Return the days (UTC) of the oldest and the newest record."""
        ...

    def find(self, ids: Collection[UUID]) -> list[UsageRecord]:
        """Return those of the records that are there."""
        ...

    # --- for retention ---------------------------------------------------------------------------

    def forget(self, *, workspace_id: UUID, until: datetime, before: int) -> int:
        """Delete some of the workspace's records from before a moment that were stored before a mark, the oldest first.

        Returns how many, which is bounded; 0 when none are left.

        Raises:
            StoreUnavailable: when the database is away.
        """
        ...

    def forget_months(self, *, until: datetime, before: int) -> int:
        """Delete everybody's months before a moment at one go, where the store keeps each month by itself.

        A month that holds a record stored after the mark stays for another time. Returns how many months went.

        Raises:
            StoreUnavailable: when the database is away.
        """
        ...

    def make_room(self, *, at: datetime) -> None:
        """Make ready for the records of this month and the next ones, where the store keeps each month by itself.

        Raises:
            StoreUnavailable: when the database is away. Records are stored all the same.
        """
        ...

    # --- for experiments --------------------------------------------------------------------------

    def sessions(self, *, arms: Collection[str]) -> Iterator[OfSession]:
        """Give what these arms of experiments did, by session."""
        ...

    # --- for invoices ---------------------------------------------------------------------------

    def counted(self, *, agent_ids: Collection[UUID], month: Month, before: int | None = None) -> Iterator[Counted]:
        """Give the records that count towards these agents' allowances of the month, by agent and then by id.

        With ``before``, a mark, those that were there at that mark, and always the same ones.
        """
        ...

    def counted_sums(self, *, month: Month, before: int | None = None) -> list[AgentSum]:
        """Return what the records that count towards allowances of the month add up to, of each agent that has any.

        Raises:
            StoreUnavailable: when the database is away.
        """
        ...

    def months_since(
        self, *, workspace_ids: Collection[UUID], since: int, until: datetime
    ) -> set[tuple[UUID, UUID, Month]]:
        """Return whose months before ``until`` got records that count since a mark: workspace, agent, month."""
        ...
