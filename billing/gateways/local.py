"""What holds without Stripe's keys: nothing is sent anywhere, and staff mark invoices as paid by hand."""

from decimal import Decimal
from typing import Final
from uuid import UUID

from billing.gateways.base import Method, Note, Order, Payer, Refused, Standing, State
from billing.models import Invoice, Status

STATES: Final = {Status.FINALIZED: State.OPEN} | {
    status: State(status) for status in (Status.DRAFT, Status.PAID, Status.VOID, Status.UNCOLLECTIBLE)
}


class Local:
    """Our own tables as a gateway: an invoice stands as its row says."""

    collects = False
    smallest = Decimal("0.00")

    def register(self, payer: Payer, *, known_as: str | None = None) -> str:  # noqa: ARG002
        """Return the workspace's own id."""
        return str(payer.workspace_id)

    def method(self, customer_id: str) -> Method | None:  # noqa: ARG002
        """Return nothing: nobody pays here."""
        return None

    def page_to_add_method(self, customer_id: str, *, back: str) -> str:  # noqa: ARG002
        """Refuse: there is no such page."""
        raise Refused("no payments are taken here")

    def page_of_methods(self, customer_id: str, *, back: str) -> str:  # noqa: ARG002
        """Refuse: there is no such page."""
        raise Refused("no payments are taken here")

    def draft(self, order: Order) -> Standing:
        """Return how it stands."""
        return self.look(str(order.invoice_id))

    def fill(self, invoice_id: str, order: Order) -> Standing:  # noqa: ARG002
        """Return how it stands: its lines are there."""
        return self.look(invoice_id)

    def issue(self, invoice_id: str, order: Order) -> Standing:  # noqa: ARG002
        """Return how it stands: it was issued."""
        return self.look(invoice_id)

    def drop(self, invoice_id: str) -> None:
        """Do nothing: there are no drafts here."""

    def send(self, invoice_id: str) -> Standing:
        """Return how it stands: our own e-mail brings it."""
        return self.look(invoice_id)

    def charge(self, invoice_id: str, *, method_id: str, attempt: int) -> Standing:  # noqa: ARG002
        """Refuse: nobody pays here."""
        raise Refused("no payments are taken here")

    def look(self, invoice_id: str) -> Standing:
        """Return how it stands by its row."""
        invoice = Invoice.objects.prefetch_related("credit_notes").get(pk=UUID(invoice_id))
        state = STATES[Status(invoice.status)]
        return Standing(id=invoice_id, state=state, total=invoice.total, due=invoice.due)

    def credit(self, invoice_id: str, note: Note) -> str:  # noqa: ARG002
        """Return its own id: it is written already."""
        return str(note.id)

    def note_paid(self, invoice_id: str) -> Standing:
        """Return how it stands: that is noted already."""
        return self.look(invoice_id)

    def void(self, invoice_id: str) -> Standing:
        """Return how it stands: it is taken back already."""
        return self.look(invoice_id)

    def give_up(self, invoice_id: str) -> Standing:
        """Return how it stands: it is given up already."""
        return self.look(invoice_id)
