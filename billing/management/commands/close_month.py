"""``manage.py close_month``: draws up a month's invoices, and issues them a day after its end."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from agents.management.progress import progress
from billing import closing, services
from billing.invoicing import NOTHING
from billing.management.months import month
from billing.models import Invoice, Status
from metering.store import StoreUnavailable


class Command(BaseCommand):
    help = (
        "Draws up the invoices of a month that is over, and issues them once it has been over for 24 hours. Running it "
        "again, or two at once, changes nothing that was issued; after a crash it goes on where it stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("month", type=month, help="the month, as 2026-02")
        parser.add_argument("--json", action="store_true", help="print JSON, for a program to read")

    def handle(self, *_args: Any, **options: Any) -> None:
        of, at = options["month"], timezone.now()
        waiting = closing.open_workspaces(of)
        steps = -(-len(waiting) // closing.AT_ONCE)
        try:
            closed = closing.close_month(of, at=at, workspace_ids=waiting)
            issued = [each for step in progress(closed, total=steps, on=sys.stderr) for each in step.issued]
        except services.NotYet:
            raise CommandError(f"{of} isn't over: it can be closed from {of.end:%Y-%m-%d} on.") from None
        except StoreUnavailable:
            raise CommandError("The meter can't be read. What was closed stays; run this again.") from None
        drafts = Invoice.objects.filter(period_start=of.start, status=Status.DRAFT).count()
        total = sum((each.total for each in issued), NOTHING)
        if options["json"]:
            said = {"month": str(of), "workspaces": len(waiting), "issued": len(issued), "drafts": drafts}
            self.stdout.write(json.dumps({**said, "total": str(total)}))
        else:
            self.stdout.write(f"{of}: {len(issued)} invoices issued, ${total} together; {drafts} drafts wait.")
