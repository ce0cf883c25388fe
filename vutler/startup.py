"""What a server does before it takes its first request: tables up to date, static files in place."""

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections

CONFIGURATION_ERROR = 2  # exit status
MIGRATION_LOCK = 0x76746C  # any number that is ours alone in the database


def refuse(message: str) -> NoReturn:
    """End the process with a sentence that says what to do instead of a traceback."""
    sys.stderr.write(f"{message}\n")
    raise SystemExit(CONFIGURATION_ERROR)


def or_refuse(start: Callable[[], None]) -> None:
    """Run ``start``; where the environment lacks something, say what, and end with status 2."""
    try:
        start()
    except ImproperlyConfigured as error:
        refuse(str(error))


def prepare() -> None:
    """Bring every database's tables and the collected static files up to date, and begin to count from 0."""
    for alias in connections:
        migrate(alias)
    shutil.rmtree(settings.METRICS_DIR, ignore_errors=True)
    if not settings.DEBUG:
        collect_static()


def migrate(alias: str) -> None:
    """Apply what migrations are due, one process at a time where several start at once."""
    connection = connections[alias]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
    try:
        call_command("migrate", database=alias, interactive=False, verbosity=0)
    finally:
        connection.close()  # and with it goes the lock


def collect_static() -> None:
    """Gather static files, unless those in ``STATIC_ROOT`` were made from the very same ones (it takes seconds)."""
    mark = Path(settings.STATIC_ROOT) / ".made-from"
    made_from = _fingerprint()
    if mark.exists() and mark.read_text() == made_from:
        return
    call_command("collectstatic", interactive=False, verbosity=0)
    mark.write_text(made_from)


def _fingerprint() -> str:
    found = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            status = Path(storage.path(name)).stat()
            found.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return found.hexdigest()
