"""``manage.py export_invoices``: a month's invoices as files."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents.management.progress import progress
from billing.documents.pdf import invoice_pdf
from billing.documents.tables import as_csv, as_xlsx
from billing.management.months import month
from billing.models import Invoice


class Command(BaseCommand):
    help = "Writes a month's issued invoices to a CSV or XLSX file, or a folder of PDF files, and prints where."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("month", type=month, help="the month, as 2026-02")
        parser.add_argument("--format", choices=["csv", "xlsx", "pdf"], default="csv", help="csv unless told")
        parser.add_argument("--output", type=Path, help="the file or folder; VAR_DIR/exports/ unless told")

    def handle(self, *_args: Any, **options: Any) -> None:
        of, form = options["month"], options["format"]
        found = list(Invoice.objects.issued().filter(period_start=of.start).order_by("number"))
        if not found:
            raise CommandError(f"No invoice of {of} was issued.")
        name = f"invoices-{of}" if form == "pdf" else f"invoices-{of}.{form}"
        target = options["output"] or settings.VAR_DIR / "exports" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if form == "pdf":
            self._folder(target, found)
        elif form == "csv":
            target.write_text(as_csv(found), newline="")
        else:
            target.write_bytes(as_xlsx(found))
        self.stdout.write(str(target))

    @staticmethod
    def _folder(target: Path, invoices: Sequence[Invoice]) -> None:
        target.mkdir(exist_ok=True)
        for invoice in progress(invoices, total=len(invoices), on=sys.stderr):
            (target / f"{invoice}.pdf").write_bytes(invoice_pdf(invoice))
