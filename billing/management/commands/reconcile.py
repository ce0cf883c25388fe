"""``manage.py reconcile``: computes a month's invoices again and names each difference."""

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from agents.management.progress import progress
from billing import reconciling
from billing.management.months import month


class Command(BaseCommand):
    help = (
        "Computes a month's invoices again: the records behind every line with their digest, amounts by the plans, "
        "tax, totals, numbers without a gap, nobody left out. Ends with status 1 if anything differs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("month", type=month, help="the month, as 2026-02")
        parser.add_argument("--json", action="store_true", help="print JSON, for a program to read")

    def handle(self, *_args: Any, **options: Any) -> None:
        of = options["month"]
        found = reconciling.invoices(of)
        gone = reconciling.without_records(found)
        steps = progress(found, total=len(found), on=sys.stderr)
        differences = [each for invoice in steps for each in reconciling.check_invoice(invoice)]
        years = {each.finalized_at.year for each in found if each.finalized_at}
        differences += [each for year in sorted(years) for each in reconciling.check_numbers(year)]
        differences += reconciling.check_complete(of, at=timezone.now())
        if options["json"]:
            said = {"month": str(of), "invoices": len(found), "differences": [asdict(each) for each in differences]}
            said["without_records"] = len(gone)
            self.stdout.write(json.dumps(said))
        else:
            for each in differences:
                self.stdout.write(str(each))
            if gone:
                since = f"{max(gone):%Y-%m-%d}"
                self.stdout.write(
                    f"The records behind {len(gone)} of them are no longer kept (since {since} at the latest): their "
                    "lines' counts and digests are as issued; amounts, tax and numbers are checked."
                )
            self.stdout.write(f"{of}: {len(found)} invoices checked, {len(differences)} differences.")
        if differences:
            raise CommandError(f"{len(differences)} differences in {of}.")
