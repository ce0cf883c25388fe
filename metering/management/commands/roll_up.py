"""``manage.py roll_up``: brings the sums of hours, days and months up to date."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from agents.management.progress import progress
from metering import rollups
from metering.store import StoreUnavailable


class Command(BaseCommand):
    help = (
        "Brings the sums of hours, days and months up to date with the records, as `make worker` does every minute. "
        "It can run while everything else does, twice at once, and be stopped and started again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rebuild", action="store_true", help="make them all again, from the first record on")
        parser.add_argument("--json", action="store_true", help="print JSON, for a program to read")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            if options["rebuild"]:
                steps, total = rollups.days_rebuilt(), len(rollups.record_days())
            else:
                steps, total = rollups.days_rolled_up(), 1
            days = sum(1 for _day in progress(steps, total=total, on=sys.stderr))
        except (StoreUnavailable, Error) as error:
            raise CommandError("The meter's database can't be reached. Nothing is lost; run this again.") from error
        self.stdout.write(json.dumps({"days": days}) if options["json"] else f"Days made again: {days}.")
