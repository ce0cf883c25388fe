"""Rows as files for spreadsheets: CSV and XLSX. What begins like a formula is text there."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import xlsxwriter

# A cell that begins with one of these is a formula to a spreadsheet.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table with a name, a header, and rows of text, numbers and amounts (``Decimal``)."""

    name: str
    header: Sequence[str]
    rows: Iterable[Sequence[Any]]


def as_csv(sheet: Sheet) -> str:
    """Return a sheet as CSV with its header, amounts with a point."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(sheet.header)
    table.writerows([_harmless(cell) for cell in row] for row in sheet.rows)
    return out.getvalue()


def as_xlsx(sheets: Iterable[Sheet]) -> bytes:
    """Return sheets as a workbook."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        bold, cents = book.add_format({"bold": True}), book.add_format({"num_format": "#,##0.00"})
        for each in sheets:
            sheet = book.add_worksheet(each.name)
            sheet.write_row(0, 0, each.header, bold)
            sheet.freeze_panes(1, 0)
            for number, row in enumerate(each.rows, start=1):
                for column, cell in enumerate(row):
                    sheet.write(number, column, cell, cents if isinstance(cell, Decimal) else None)
            sheet.autofit()
    return out.getvalue()


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
