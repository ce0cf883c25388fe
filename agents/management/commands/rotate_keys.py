"""``manage.py rotate_keys``: seals every secret again under the first of ``FIELD_ENCRYPTION_KEYS``."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents import rotation
from agents.management.progress import progress
from agents.rotation import Outcome


class Command(BaseCommand):
    help = (
        "Seals every secret again under the first of FIELD_ENCRYPTION_KEYS. Put the new key first and keep the old "
        "one behind it, restart, run this, then take the old one away. It can run while everything else does, and be "
        "stopped and started again. Ends with status 1 if a secret couldn't be opened."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON, for a program to read")

    def handle(self, *_args: Any, **options: Any) -> None:
        resealed, unreadable = 0, []
        for step in progress(rotation.rotate(), total=rotation.due(), on=sys.stderr):
            resealed += step.outcome is Outcome.RESEALED
            if step.outcome is Outcome.UNREADABLE:
                unreadable.append(step.place)
        if options["json"]:
            self.stdout.write(json.dumps({"resealed": resealed, "unreadable": unreadable}))
        else:
            self.stdout.write(f"Sealed again: {resealed}.")
        if unreadable:
            raise CommandError(
                f"{len(unreadable)} couldn't be opened with any of FIELD_ENCRYPTION_KEYS and were left as they are:\n"
                + "\n".join(unreadable)
            )
