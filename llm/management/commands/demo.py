"""``manage.py demo``: a workspace to try the product out with."""

import json
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from llm import demo
from metering.store import StoreUnavailable


class Command(BaseCommand):
    help = (
        'Makes the workspace "Demo Bakery" with agents and three months of usage, once, and prints its login and '
        "tokens (kept in VAR_DIR/demo.json). Not for a server that others can reach."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON, for a program to read")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            made = demo.seed(kept_in=settings.VAR_DIR / "demo.json", now=timezone.now())
        except StoreUnavailable as error:
            raise CommandError("The meter's database can't be reached, so there's no usage to show.") from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(made)))
            return
        for name, value in asdict(made).items():
            self.stdout.write(f"{name.replace('_', ' '):16} {value}")
