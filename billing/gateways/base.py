"""What takes payments, seen from our invoices: send one, charge it, take it back, and ask how it stands."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class GatewayError(Exception):
    """A call that didn't bring what it was meant to. Its words are for staff and hold no secret."""


class Away(GatewayError):
    """No answer, or none yet: what was asked may have been done. The same call may be made again."""


class Refused(GatewayError):
    """The gateway won't do that, however often it's asked."""


class Declined(GatewayError):
    """The customer's bank, or card, said no."""


class State(StrEnum):
    """Where an invoice is at the gateway."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an invoice stands at the gateway. Amounts in USD; ``due`` is what is left to pay."""

    id: str
    state: State
    total: Decimal
    due: Decimal
    paid: Decimal = Decimal("0.00")
    url: str = ""  # where anybody who has it can pay
    attempts: int = 0  # to charge it
    processing: bool = False  # the bank has it: a debit takes days, and hasn't failed
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A line as the gateway gets it: its place, and USD with sign. ``first`` and ``last`` day are both in it."""

    place: int
    text: str
    amount: Decimal
    first: date
    last: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An issued invoice as the gateway gets it. ``automatic``: charged by itself, not sent with a link to pay."""

    invoice_id: UUID
    number: str
    customer_id: str
    automatic: bool
    days_to_pay: int
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """A workspace as the gateway gets it."""

    workspace_id: UUID
    name: str
    email: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What a customer pays with, in words: Visa •••• 4242."""

    id: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A credit note as the gateway gets it, in USD. ``outside``: what it gives back wasn't paid there."""

    id: UUID
    number: str
    reason: str
    amount: Decimal
    outside: bool


class Gateway(Protocol):
    """Takes payments.

    Every call may be made again after it failed, or after nobody learned that it had worked: it is done once. All
    raise ``Away``, where trying again later may help, and ``Refused``.
    """

    # Whether money comes in this way. Where it doesn't, staff mark invoices as paid.
    collects: bool
    # What is too little to be charged, in USD.
    smallest: Decimal

    def register(self, payer: Payer, *, known_as: str | None = None) -> str:
        """Return the id of a workspace's customer, and let it be called as the workspace is now."""
        ...

    def method(self, customer_id: str) -> Method | None:
        """Return what a customer pays with, if anything."""
        ...

    def page_to_add_method(self, customer_id: str, *, back: str) -> str:
        """Return the address of a page that asks for a way to pay and then leads ``back``."""
        ...

    def page_of_methods(self, customer_id: str, *, back: str) -> str:
        """Return the address of a page on which a customer changes how they pay."""
        ...

    def draft(self, order: Order) -> Standing:
        """Begin an invoice, or find the one that was begun."""
        ...

    def fill(self, invoice_id: str, order: Order) -> Standing:
        """Put the lines in that aren't there yet."""
        ...

    def issue(self, invoice_id: str, order: Order) -> Standing:
        """Finalize it: from here on it is to be paid."""
        ...

    def drop(self, invoice_id: str) -> None:
        """Throw a draft away."""
        ...

    def send(self, invoice_id: str) -> Standing:
        """Send it to the customer, with a link to pay."""
        ...

    def charge(self, invoice_id: str, *, method_id: str, attempt: int) -> Standing:
        """Charge it. The same ``attempt`` (how many we asked for before) is made once, whoever asks for it.

        Raises:
            Declined: where the customer's bank says no.
        """
        ...

    def look(self, invoice_id: str) -> Standing:
        """Return how it stands now."""
        ...

    def credit(self, invoice_id: str, note: Note) -> str:
        """Credit part of it, giving back what was paid already; return the credit note's id."""
        ...

    def note_paid(self, invoice_id: str) -> Standing:
        """Take note that it was paid elsewhere."""
        ...

    def void(self, invoice_id: str) -> Standing:
        """Take it back."""
        ...

    def give_up(self, invoice_id: str) -> Standing:
        """Stop trying."""
        ...
