"""From lines to invoices to who takes the payments to cash, in USD."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Sum
from django.utils.translation import gettext as _

from billing.agreeing.steps import USD, Difference, Figure, Item, Place, Step, difference, found
from billing.collected import Collected, collected
from billing.invoicing import NOTHING
from billing.models import Invoice, InvoiceLine, Status
from metering.periods import Month


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """A month's invoices that were issued, what their lines come to, and how they stand where they are paid.

    ``lines``: how many, and USD before tax.
    """

    month: Month
    at: datetime
    invoices: Sequence[Invoice]
    taken_back: Sequence[Invoice]
    lines: Mapping[UUID, tuple[int, Decimal]]
    there: Mapping[UUID, Collected]

    def item(self, invoice: Invoice, amount: Decimal) -> Item:
        """Return an invoice's part of a difference."""
        place = Place(page="billing_invoice", query={"q": str(invoice)})
        return Item(name=f"{invoice} {invoice.snapshot['buyer']['name']}", amount=amount, count=1, place=place)


def read(month: Month, *, at: datetime) -> Money:
    """Return what a month's invoices come to, everywhere."""
    issued = list(
        Invoice.objects.issued().filter(period_start=month.start).order_by("number").prefetch_related("credit_notes")
    )
    rows: Any = InvoiceLine.objects.filter(invoice__in=Invoice.objects.standing().filter(period_start=month.start))
    sums = rows.order_by().values_list("invoice_id").annotate(count=Count("id"), amount=Sum("amount"))
    return Money(
        month=month,
        at=at,
        invoices=[each for each in issued if each.status != Status.VOID],
        taken_back=[each for each in issued if each.status == Status.VOID],
        lines={invoice: (count, amount) for invoice, count, amount in sums},
        there=collected(issued),
    )


def steps(money: Money, *, where: str) -> Iterator[Step]:
    """Give the way from lines to invoices to ``where`` they are paid (Stripe) to cash."""
    there = money.there.values()
    lines = Figure(
        name=_("Lines"),
        count=sum(count for count, _amount in money.lines.values()),
        amount=_sum(amount for _count, amount in money.lines.values()),
    )
    total = _sum(invoice.total for invoice in money.invoices)
    invoices = Figure(name=_("Invoices"), count=len(money.invoices), amount=total)
    sent = Figure(name=where, count=len(money.there), amount=_sum(each.invoiced for each in there))
    paid = [each for each in there if each.paid]
    cash = Figure(name=_("Cash"), count=len(paid), amount=_sum(each.paid - each.given_back for each in paid))
    yield Step(unit=USD, before=lines, after=invoices, differences=_to_invoices(money))
    yield Step(unit=USD, before=invoices, after=sent, differences=_to_payments(money))
    yield Step(unit=USD, before=sent, after=cash, differences=_to_cash(money))


def _to_invoices(money: Money) -> tuple[Difference, ...]:
    tax, spoiled = [], []
    for invoice in money.invoices:
        _count, lines = money.lines.get(invoice.pk, (0, NOTHING))
        if invoice.tax:
            tax.append(money.item(invoice, invoice.tax))
        if rest := invoice.total - invoice.tax - lines:
            spoiled.append(money.item(invoice, rest))
    return found(
        difference(_("Tax"), tax), difference(_("Invoices that aren't the sum of their lines"), spoiled, wrong=True)
    )


def _to_payments(money: Money) -> tuple[Difference, ...]:
    missing, unlike = [], []
    for invoice in money.invoices:
        there = money.there.get(invoice.pk)
        if there is None:
            missing.append(money.item(invoice, -invoice.total))
        elif there.invoiced != invoice.total:
            unlike.append(money.item(invoice, there.invoiced - invoice.total))
    back = [money.item(each, money.there[each.pk].invoiced) for each in money.taken_back if each.pk in money.there]
    return found(
        difference(_("Not there yet"), missing),
        difference(_("Another total there"), unlike, wrong=True),
        difference(_("Taken back here, but not there"), back, wrong=True),
    )


def _to_cash(money: Money) -> tuple[Difference, ...]:
    why: dict[str, list[Item]] = defaultdict(list)
    for invoice in money.invoices:
        if there := money.there.get(invoice.pk):
            for name, amount in _kept_back(invoice, there, at=money.at):
                why[name].append(money.item(invoice, amount))
    for invoice in money.taken_back:
        if there := money.there.get(invoice.pk):
            why["other"].append(money.item(invoice, there.paid - there.given_back - there.invoiced))
    return found(
        difference(_("Credited"), why["credited"]),
        difference(_("Credited after it was paid, to be given back"), why["to give back"]),
        difference(_("Open"), why["open"]),
        difference(_("Overdue"), why["overdue"]),
        difference(_("Given up"), why["given up"]),
        difference(_("Paid otherwise than owed"), why["other"], wrong=True),
    )


def _kept_back(invoice: Invoice, there: Collected, *, at: datetime) -> Iterator[tuple[str, Decimal]]:
    """Give why something else came in than the invoice is over, with the amounts."""
    owed = there.invoiced - invoice.credited
    came = there.paid - there.given_back - there.to_give_back
    if there.to_give_back:
        yield "to give back", there.to_give_back
    if invoice.credited:
        yield "credited", -invoice.credited
    if owed == came:
        return
    if invoice.status == Status.UNCOLLECTIBLE:
        yield "given up", came - owed
    elif invoice.status == Status.FINALIZED and came < owed:
        yield "overdue" if invoice.due_at and invoice.due_at < at else "open", came - owed
    else:
        yield "other", came - owed


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, NOTHING)
