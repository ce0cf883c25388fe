"""What becomes of invoices: drawn up, issued, paid, taken back. The moment is the caller's: only the edge has a clock.

Whatever changes the invoices of a workspace holds the workspace's row first, so that two at once take turns. A
transaction that is cut leaves nothing behind, its numbers included.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.dispatch import Signal
from django.utils.translation import gettext as _

from agents.changes import Actor, audit
from agents.models import Workspace
from billing import numbers, snapshots
from billing.evidence import NONE
from billing.invoicing import NOTHING, Line, credited_tax
from billing.models import (
    PPM_IN_PERCENT,
    BillingProfile,
    Credit,
    CreditNote,
    CreditNoteLine,
    Invoice,
    InvoiceLine,
    Status,
)
from billing.rating import Rated, rate
from metering.kept import gone
from metering.periods import Month

WAIT: Final = timedelta(hours=24)  # for records that come late
TO_PAY: Final = timedelta(days=14)
COMMAND: Final = "close_month"

# Sent after commit with ``invoice_id`` and ``by``: it was issued, paid, taken back, given up or credited.
invoice_moved = Signal()


class NotYet(ValidationError):
    """The month isn't over, or may still get records."""


class NotNow(ValidationError):
    """An invoice can't go from where it is to there."""


# --- Drawing up and issuing ---------------------------------------------------------------------


def draft_month(*, workspace_id: UUID, month: Month, at: datetime) -> Invoice | None:
    """Draw up a workspace's invoice of a month that is over, or draw the draft up again.

    Returns the invoice: one that was issued as it is, None where there is nothing to charge. A month whose invoice
    was void gets another one: that is how an invoice is issued again.

    Raises:
        NotYet: before the month is over.
    """
    with transaction.atomic():
        workspaces = hold([workspace_id])
        _draw_up(workspaces, month, at=at)
        return (
            Invoice.objects.exclude(status=Status.VOID)
            .filter(workspace_id=workspace_id, period_start=month.start)
            .first()
        )


def close(*, workspace_ids: Collection[UUID], month: Month, at: datetime, by: Actor = COMMAND) -> list[Invoice]:
    """Draw up the month of some workspaces, all or none, and issue it if the wait for late records is over.

    Returns the invoices that were issued now. What was issued before, or taken back, stays as it is.

    Raises:
        NotYet: before the month is over.
    """
    with transaction.atomic():
        done = Invoice.objects.issued().filter(workspace_id__in=workspace_ids, period_start=month.start)
        held = hold(workspace_ids)
        handled = set(done.values_list("workspace_id", flat=True))
        drafts = _draw_up([each for each in held if each.pk not in handled], month, at=at)
        return _issue(drafts, at=at, by=by) if at >= month.end + WAIT else []


def finalize(*, invoice: Invoice, at: datetime, by: Actor) -> Invoice:
    """Issue a draft as the meter has its month now. One that was issued already is returned as it is.

    Raises:
        NotYet: while records may still come.
        NotNow: when there is nothing left to charge.
    """
    if at < invoice.period_end + WAIT:
        raise NotYet(_("This month may still get records. It can be issued 24 hours after its end."))
    with transaction.atomic():
        workspaces = hold([invoice.workspace_id])
        if Invoice.objects.issued().filter(pk=invoice.pk).exists():
            return Invoice.objects.get(pk=invoice.pk)
        drafts = _draw_up(workspaces, invoice.month, at=at)
        if not drafts:
            raise NotNow(_("There is nothing to charge for this month."))
        return _issue(drafts, at=at, by=by)[0]


def hold(workspace_ids: Collection[UUID]) -> list[Workspace]:
    """Keep others from changing the invoices of these workspaces until the transaction is over."""
    # In one order, so that two who hold several don't wait for each other. SQLite's writers are alone anyway.
    return list(Workspace.objects.filter(pk__in=workspace_ids).order_by("pk").select_for_update(no_key=True))


def _draw_up(workspaces: Sequence[Workspace], month: Month, *, at: datetime) -> list[Invoice]:
    """Write the drafts of the workspaces' month anew where something changed; return all that there are."""
    if at < month.end:
        raise NotYet(_("This month isn't over."))
    # What can't be counted any more isn't drawn up; a draft keeps its month's records (custody.retention).
    uncountable = gone(month.start.date(), of=[each.pk for each in workspaces])
    workspaces = [each for each in workspaces if each.pk not in uncountable]
    there = {
        each.workspace_id: each
        for each in Invoice.objects.filter(
            workspace__in=workspaces, period_start=month.start, status=Status.DRAFT
        ).prefetch_related("lines")
    }
    rated = list(rate(workspaces, month))
    empty = [there[each.workspace.pk].pk for each in rated if not each.draft.lines and each.workspace.pk in there]
    Invoice.objects.filter(pk__in=empty).delete()
    charged = [each for each in rated if each.draft.lines]
    drafts = [_invoice(each, month, there.get(each.workspace.pk)) for each in charged]
    fresh = [each for each in drafts if each._state.adding]
    Invoice.objects.bulk_create(fresh)
    kept = [each for each in drafts if each not in fresh]
    Invoice.objects.bulk_update(kept, ["subtotal", "tax", "total", "tax_ppm", "snapshot", "mark"]) if kept else None
    InvoiceLine.objects.filter(invoice__in=kept).delete()
    InvoiceLine.objects.bulk_create(
        [line for invoice, each in zip(drafts, charged, strict=True) for line in _lines(invoice, each)], batch_size=500
    )
    return drafts


def _invoice(rated: Rated, month: Month, there: Invoice | None) -> Invoice:
    invoice = there or Invoice(period_start=month.start, period_end=month.end)
    invoice.workspace = rated.workspace  # a draft's too, so that it needn't be looked up one by one
    draft = rated.draft
    invoice.subtotal, invoice.tax, invoice.total = draft.subtotal, draft.tax, draft.total
    invoice.tax_ppm = int(draft.tax_rate * PPM_IN_PERCENT)
    invoice.snapshot = snapshots.parties(rated.workspace, rated.profile)
    invoice.mark = rated.mark
    return invoice


def _lines(invoice: Invoice, rated: Rated) -> Iterable[InvoiceLine]:
    language = rated.profile.language
    return [
        _line(invoice, position, line, rated, snapshots.describe(line, language=language))
        for position, line in enumerate(rated.draft.lines, start=1)
    ]


def _line(invoice: Invoice, position: int, line: Line, rated: Rated, description: str) -> InvoiceLine:
    behind = rated.evidence.get((line.agent_id, line.month), NONE) if line.agent_id else None
    return InvoiceLine(
        invoice=invoice,
        position=position,
        kind=line.kind.value,
        month=Month.parse(line.month).start.date(),
        description=description,
        name=line.name,
        agent_id=line.agent_id,
        tier=line.terms.plan.tier if line.terms else "",
        quantity=line.quantity,
        unit_price=line.unit_price,
        amount=line.amount,
        tokens=line.tokens,
        included_tokens=line.terms.plan.included_tokens if line.terms else 0,
        credit_id=line.credit_id,
        records=behind.records if behind else 0,
        digest=behind.digest if behind else "",
    )


def _issue(drafts: Sequence[Invoice], *, at: datetime, by: Actor) -> list[Invoice]:
    """Give drafts that are held their numbers. What comes to nothing is paid by that."""
    if not drafts:
        return []
    # The counter comes last: whoever waits there doesn't wait for the reckoning.
    taken = numbers.take(numbers.INVOICE, year=at.year, count=len(drafts))
    for invoice, number in zip(drafts, taken, strict=True):
        invoice.number, invoice.finalized_at, invoice.due_at = number, at, at + TO_PAY
        invoice.status = Status.FINALIZED if invoice.total else Status.PAID
        invoice.paid_at = None if invoice.total else at
    Invoice.objects.bulk_update(drafts, ["number", "finalized_at", "due_at", "status", "paid_at"])
    for invoice in drafts:
        _tell("invoice.issued", invoice, by=by, total=f"${invoice.total}")
    return list(drafts)


# --- Paid, or not -------------------------------------------------------------------------------


def mark_paid(*, invoice: Invoice, at: datetime, by: Actor) -> bool:
    """Note that an invoice was paid. Returns whether that is news.

    Raises:
        NotNow: for a draft or a void invoice.
    """
    return _move(invoice, {Status.FINALIZED, Status.UNCOLLECTIBLE}, Status.PAID, by=by, paid_at=at)


def mark_uncollectible(*, invoice: Invoice, at: datetime, by: Actor, reason: str) -> bool:
    """Note that nobody will pay an invoice. Returns whether that is news.

    Raises:
        NotNow: for one that isn't open.
    """
    return _move(invoice, {Status.FINALIZED}, Status.UNCOLLECTIBLE, by=by, reason=reason, closed_at=at)


def void(*, invoice: Invoice, at: datetime, by: Actor, reason: str) -> bool:
    """Take an unpaid invoice back as if it had never been meant. Returns whether that is news.

    Raises:
        NotNow: for one that is paid, or that a credit note corrects already.
    """
    if invoice.credit_notes.exists():
        raise NotNow(_("A credit note corrects this invoice already."))
    unpaid = {Status.FINALIZED, Status.UNCOLLECTIBLE}
    return _move(invoice, unpaid, Status.VOID, by=by, reason=reason, closed_at=at)


def _move(invoice: Invoice, come_from: set[Status], to: Status, *, by: Actor, reason: str = "", **when: Any) -> bool:
    with transaction.atomic():
        hold([invoice.workspace_id])
        moved = Invoice.objects.filter(pk=invoice.pk, status__in=come_from).update(status=to, **when)
        was = invoice.get_status_display()
        invoice.refresh_from_db()
        if moved:
            _tell(f"invoice.{to}", invoice, by=by, was=was, reason=reason)
    if not moved and invoice.status != to:
        now = invoice.get_status_display()
        raise NotNow(_("Invoice %(invoice)s is “%(now)s”.") % {"invoice": invoice, "now": now})
    return bool(moved)


# --- Corrections --------------------------------------------------------------------------------


def credit(
    *, invoice: Invoice, reason: str, at: datetime, by: Actor, amounts: Mapping[UUID, Decimal] | None = None
) -> CreditNote:
    """Take an invoice back with a credit note: all that is left of it, or ``amounts`` (USD before tax) by line.

    An open invoice of which nothing is left is paid by that.

    Raises:
        NotNow: for a draft or a void invoice, or where nothing is left.
        ValidationError: for more than is left of a line, or nothing at all.
    """
    with transaction.atomic():
        hold([invoice.workspace_id])
        invoice.refresh_from_db()
        if invoice.status in {Status.DRAFT, Status.VOID}:
            raise NotNow(_("Only an issued invoice can be credited."))
        left = left_to_credit(invoice)
        parts = _checked(left, left if amounts is None else amounts)
        note = _note(invoice, parts, base_left=sum(left.values(), NOTHING), reason=reason, at=at, by=by)
        _tell("invoice.credited", invoice, by=by, note=note.number, total=f"${note.total}", reason=reason)
        if invoice.status == Status.FINALIZED and not Invoice.objects.get(pk=invoice.pk).due:
            mark_paid(invoice=invoice, at=at, by=by)
        return note


def left_to_credit(invoice: Invoice) -> dict[UUID, Decimal]:
    """Return what isn't credited yet of each line, in USD."""
    left = {line.pk: line.amount for line in invoice.lines.all()}
    for part in CreditNoteLine.objects.filter(note__invoice=invoice):
        left[part.line_id] -= part.amount
    return left


def _checked(left: Mapping[UUID, Decimal], amounts: Mapping[UUID, Decimal]) -> dict[UUID, Decimal]:
    parts = {line: amount for line, amount in amounts.items() if amount}
    for line, amount in parts.items():
        most = left.get(line, Decimal())
        if not min(most, Decimal()) <= amount <= max(most, Decimal()):
            raise ValidationError(_("Of this line only $%(left)s is left.") % {"left": most})
    if not parts or sum(parts.values()) < 0:
        raise NotNow(_("There is nothing left to credit."))
    # What a credit on the invoice has paid for was never charged: it can't be given back beside it.
    if sum(parts.values()) > (whole := sum(left.values(), NOTHING)):
        raise ValidationError(_("Of this invoice only $%(left)s is left.") % {"left": whole})
    return parts


def _note(
    invoice: Invoice, parts: Mapping[UUID, Decimal], *, base_left: Decimal, reason: str, at: datetime, by: Actor
) -> CreditNote:
    base = sum(parts.values(), Decimal())
    tax_left = invoice.tax - sum((each.tax for each in invoice.credit_notes.all()), Decimal())
    tax = credited_tax(base, rate=invoice.tax_rate, base_left=base_left, tax_left=tax_left)
    [number] = numbers.take(numbers.CREDIT_NOTE, year=at.year, count=1)
    note = CreditNote.objects.create(
        invoice=invoice,
        number=number,
        reason=reason,
        issued_by=str(by),
        issued_at=at,
        subtotal=base,
        tax=tax,
        total=base + tax,
    )
    CreditNoteLine.objects.bulk_create(
        [CreditNoteLine(note=note, line_id=line, amount=amount) for line, amount in parts.items()]
    )
    return note


def grant_credit(*, workspace: Workspace, amount: Decimal, reason: str, by: Actor) -> Credit:
    """Grant a workspace an amount (USD) that its next invoices are reduced by."""
    granted = Credit.objects.create(workspace=workspace, amount=amount, reason=reason, granted_by=str(by))
    audit(workspace=workspace, by=by, action="credit.granted", target=reason, amount=f"${amount}")
    return granted


# --- Who pays -----------------------------------------------------------------------------------


def profile_of(workspace: Workspace) -> BillingProfile:
    """Return who the workspace's invoices are made out to, to begin with itself. Doesn't save."""
    return BillingProfile.objects.filter(pk=workspace.pk).first() or BillingProfile(workspace=workspace)


@transaction.atomic
def change_profile(*, workspace: Workspace, details: Mapping[str, str], by: Actor) -> BillingProfile:
    """Say who invoices are made out to from now on. Those that are out stay.

    Tax is the staff's; but reverse charge, which hangs on a VAT number and its country, ends when those change.
    """
    hold([workspace.pk])
    profile = profile_of(workspace)
    changed = {name: value for name, value in details.items() if getattr(profile, name) != value}
    if not changed:
        return profile
    for name, value in changed.items():
        setattr(profile, name, value)
    if changed.keys() & {"vat_number", "country"}:
        profile.reverse_charge = False
    profile.save()
    audit(workspace=workspace, by=by, action="billing.changed", target=profile)
    return profile


def _tell(action: str, invoice: Invoice, *, by: Actor, **detail: str) -> None:
    audit(workspace=invoice.workspace, by=by, action=action, target=invoice, **detail)
    # Whoever listens and fails doesn't keep the next invoice from being issued.
    transaction.on_commit(lambda: invoice_moved.send(sender=Invoice, invoice_id=invoice.pk, by=by), robust=True)
