"""``manage.py meter_check``: do the journal, the store and the roll-ups say the same?"""

import json
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from agents.management.progress import progress
from metering import check, rollups
from metering.check import Difference
from metering.store import StoreUnavailable


class Command(BaseCommand):
    help = (
        "Compares the journal on this machine, the records and their roll-ups, to the last digit, and names the first "
        "difference. Changes nothing, and can run while everything else does. Ends with status 1 at a difference."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON, for a program to read")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            days = rollups.record_days()
            found = _first(len(days))
        except (StoreUnavailable, Error) as error:
            raise CommandError("The meter's database can't be reached.") from error
        if options["json"]:
            self.stdout.write(json.dumps({"ok": found is None, "days": len(days), "difference": found and str(found)}))
        elif found is None:
            self.stdout.write(f"Journal, records and roll-ups agree. Days compared: {len(days):,}.")
        if found:
            raise CommandError(f"The first difference:\n{found}")


def _first(days: int) -> Difference | None:
    steps = progress(check.checked(settings.JOURNAL_DIR), total=days, on=sys.stderr)
    return next((found for found in steps if found), None)
