"""``manage.py copy_meter``: the meter's records, from one database to another."""

import json
import sys
from contextlib import suppress
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, connections
from environ import Env

from agents.management.progress import progress
from metering import copying
from metering.copying import AheadOfSource, Outcome
from metering.mongodb_urls import HINT, is_mongodb, usable
from metering.store import StoreUnavailable
from metering.store.places import CannotCount, Place, SqlPlace

ALIAS: Final = "copy-"
SCHEMES: Final = ("postgres://", "postgresql://", "sqlite://")
WAIT: Final = {"django.db.backends.sqlite3": {"timeout": 20}, "django.db.backends.postgresql": {"connect_timeout": 5}}


class Command(BaseCommand):
    help = (
        "Copies the meter's records from one database to another, and compares the two to the last digit. It can run "
        "while the source is in use, be stopped and started again, and again for what came since. Ends with status 0 "
        "only if every month has the same records in both."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="source", metavar="URL", required=True, help="where the records are")
        parser.add_argument("--to", dest="target", metavar="URL", required=True, help="where they shall be as well")
        parser.add_argument("--json", action="store_true", help="print JSON, for a program to read")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["source"] == options["target"]:
            raise CommandError("--from and --to are the same database.")
        outcome = Outcome()
        try:
            source, target = _place(options["source"], "--from"), _place(options["target"], "--to")
            read = copying.copied(source, target, outcome)
            for _record in progress(read, total=copying.steps(source), on=sys.stderr):
                pass
        except AheadOfSource:
            raise CommandError(
                "--to has been in use by itself: it counts further than --from. Nothing was copied; take an empty one."
            ) from None
        except CannotCount:
            raise CommandError(
                "All is copied, but SQLite can't go on counting from where --from is, and what comes next would be "
                "missing from sums. Copy to PostgreSQL or MongoDB."
            ) from None
        except (StoreUnavailable, Error) as error:
            raise CommandError(
                f"A database can't be reached ({type(error).__name__}). Run this again: it goes on where it was."
            ) from None
        finally:
            _forget_places()
        self._say(outcome, as_json=options["json"])

    def _say(self, outcome: Outcome, *, as_json: bool) -> None:
        months = {
            str(month): {"records": each.records, "digest": each.digest} for month, each in outcome.months.items()
        }
        if as_json:
            found = {"ok": not outcome.difference, "records": outcome.records, "copied": outcome.copied}
            self.stdout.write(json.dumps({**found, "months": months, "difference": outcome.difference or None}))
        else:
            for month, each in months.items():
                self.stdout.write(f"{month}  {each['records']:>12,}  {each['digest']}")
        if outcome.difference:
            raise CommandError(f"The copy isn't the same. {outcome.difference}")
        if not as_json:
            self.stdout.write(f"Both have the same {outcome.records:,} records. Copied now: {outcome.copied:,}.")


def _place(url: str, option: str) -> Place:
    """Return the database at ``url``, with the tables or indexes that records need."""
    if is_mongodb(url):
        if not usable(url):
            raise CommandError(f"{option} can't be used. {HINT}")
        from metering.store.mongo_places import MongoPlace  # whose client library is for those who have a MongoDB

        return MongoPlace(url)
    alias = ALIAS + option.strip("-")
    try:
        # Of another scheme the library would warn, with all of the address.
        known = Env.db_url_config(url) if url.startswith(SCHEMES) else {}
        options = {**WAIT[known["ENGINE"]], **known.get("OPTIONS", {})}
        connections.databases[alias] = {**connections.databases["default"], **known, "OPTIONS": options}
    except (ImproperlyConfigured, LookupError, ValueError):
        raise CommandError(
            f"{option} can't be used. Write it as postgres://user:password@host:5432/name, sqlite:////path/of/a/file "
            "or mongodb://user:password@host:27017/name."
        ) from None
    call_command("migrate", "metering", database=alias, interactive=False, verbosity=0)
    return SqlPlace(alias)


def _forget_places() -> None:
    for alias in [each for each in connections if each.startswith(ALIAS)]:
        with suppress(Error):
            connections[alias].close()
        del connections[alias]
        del connections.databases[alias]
