"""Computes a month's invoices again from what is behind them, and names each difference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from agents.models import Agent, Workspace
from agents.plans import Terms, month_terms
from billing import closing, evidence, invoicing, rating, services
from billing.invoicing import NOTHING, Kind
from billing.models import CreditNote, Invoice, InvoiceLine, NumberCounter, Status
from billing.numbers import CREDIT_NOTE, INVOICE
from metering.kept import kept_since_of
from metering.periods import Month


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where something says one thing, and what it's computed to be."""

    where: str
    what: str
    said: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} is {self.said}, computed {self.found}"


def invoices(month: Month) -> list[Invoice]:
    """Return the invoices of the month that stand, by number."""
    return list(
        Invoice.objects.standing()
        .filter(period_start=month.start)
        .order_by("number")
        .prefetch_related("lines", "credit_notes__lines")
    )


def check_invoice(invoice: Invoice) -> list[Difference]:
    """Return where an invoice isn't what its lines, their records and the plans come to."""
    lines = list(invoice.lines.all())
    tax = invoicing.tax(invoice.subtotal, rate=invoice.tax_rate)
    said = [
        ("sum of its lines", invoice.subtotal, sum((line.amount for line in lines), NOTHING)),
        ("tax", invoice.tax, tax),
        ("total", invoice.total, invoice.subtotal + invoice.tax),
    ]
    differences = [*_compare(str(invoice), said), *_check_credit_notes(invoice)]
    of_agents = [line for line in lines if line.agent_id]
    agents = Agent.objects.prefetch_related("stays").in_bulk({_agent(line) for line in of_agents})
    for month in sorted({line.of_month for line in of_agents}):
        mine = [line for line in of_agents if line.of_month == month]
        gone = evidence.gone_since(invoice.workspace_id, month=month)
        found = {} if gone else evidence.gather({_agent(line) for line in mine}, month=month, before=invoice.mark)
        for line in mine:
            behind = None if gone else found.get(_agent(line), evidence.NONE)
            agent = agents.get(_agent(line))
            terms = month_terms(agent.history(), month=month.start) if agent else None
            differences += _check_line(invoice, line, behind, terms)
    return differences


def without_records(found: Sequence[Invoice]) -> list[datetime]:
    """Return since when records are kept, of each invoice with a line whose records are from before and so are gone."""
    kept = kept_since_of([invoice.workspace_id for invoice in found])
    return [
        since
        for invoice in found
        if (since := kept.get(invoice.workspace_id))
        and any(line.agent_id and line.of_month.start < since for line in invoice.lines.all())
    ]


def _check_credit_notes(invoice: Invoice) -> Iterator[Difference]:
    """Compare what took the invoice back with its lines, and with what there was to take back."""
    for note in invoice.credit_notes.all():
        lines = sum((part.amount for part in note.lines.all()), NOTHING)
        said = [("sum of its lines", note.subtotal, lines), ("total", note.total, note.subtotal + note.tax)]
        yield from _compare(str(note), said)
    if invoice.credited > invoice.total:
        most = f"at most {invoice.total}"
        yield Difference(where=str(invoice), what="credited", said=str(invoice.credited), found=most)


def _check_line(
    invoice: Invoice, line: InvoiceLine, behind: evidence.Evidence | None, terms: Terms | None
) -> Iterator[Difference]:
    where = f"{invoice} line {line.position} ({line.description})"
    if behind:
        counted = [
            ("number of records", line.records, behind.records),
            ("tokens", line.tokens, behind.tokens),
            ("digest", line.digest, behind.digest),
        ]
        yield from _compare(where, counted)
    yield from _compare(where, [("amount", line.amount, _amount(invoice, line, terms))])


def _amount(invoice: Invoice, line: InvoiceLine, terms: Terms | None) -> Decimal | None:
    if terms is None:
        return None
    if line.kind == Kind.PLAN:
        return terms.fee
    altogether = terms.plan.beyond(invoicing.beyond(terms.plan, line.tokens))
    if line.kind == Kind.OVERAGE:
        return altogether
    before = InvoiceLine.objects.filter(
        agent_id=line.agent_id, month=line.month, kind__in=[Kind.OVERAGE, Kind.LATE], invoice__mark__lt=invoice.mark
    ).exclude(invoice__status__in=[Status.DRAFT, Status.VOID])
    return altogether - (before.aggregate(sum=Sum("amount"))["sum"] or Decimal())


def check_numbers(year: int) -> list[Difference]:
    """Return the gaps in the numbers of a year's documents."""
    given = {
        INVOICE: Invoice.objects.issued()
        .filter(number__startswith=f"{INVOICE}-{year}-")
        .values_list("number", flat=True),
        CREDIT_NOTE: CreditNote.objects.filter(number__startswith=f"{CREDIT_NOTE}-{year}-").values_list(
            "number", flat=True
        ),
    }
    differences = []
    for series, numbers in given.items():
        counter = NumberCounter.objects.filter(series=series, year=year).first()
        wanted = {f"{series}-{year}-{number:06}" for number in range(1, (counter.last if counter else 0) + 1)}
        for number in sorted(wanted ^ {str(each) for each in numbers}):
            said, found = ("missing", "given out") if number in wanted else ("there", "never given out")
            differences.append(Difference(where=f"{series} {year}", what=number, said=said, found=found))
    return differences


def check_complete(month: Month, *, at: datetime) -> list[Difference]:
    """Return the workspaces that should have an invoice of a month by now and haven't."""
    if at < month.end + services.WAIT:
        return []
    missing = []
    waiting = closing.open_workspaces(month)
    for start in range(0, len(waiting), closing.AT_ONCE):
        some = list(Workspace.objects.filter(pk__in=waiting[start : start + closing.AT_ONCE]))
        for rated in rating.rate(some, month):
            if rated.draft.lines:
                where = f"{rated.workspace.name} ({rated.workspace.pk})"
                total = f"${rated.draft.total}"
                missing.append(Difference(where=where, what=f"invoice of {month}", said="not issued", found=total))
    return missing


def _compare(where: str, said: Sequence[tuple[str, object, object]]) -> Iterator[Difference]:
    for what, stated, found in said:
        if stated != found:
            yield Difference(where=where, what=what, said=str(stated), found=str(found))


def _agent(line: InvoiceLine) -> UUID:
    assert line.agent_id  # noqa: S101 — the caller has seen to it
    return line.agent_id
