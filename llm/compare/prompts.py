"""Prompts as people give them: one, a list, or a file of comma-separated values."""

import csv
import io
from typing import Final

from django.utils.translation import gettext as _

MOST: Final = 200
LONGEST: Final = 8_000  # characters
LARGEST_FILE: Final = 4 * 1024 * 1024
HEADING: Final = "prompt"


class BadPrompts(Exception):
    """They can't be asked; says which of them and why."""


def one(text: str) -> list[str]:
    """Return a single prompt, its lines kept together.

    Raises:
        BadPrompts: when there is none, or it is too long.
    """
    prompt = text.strip()
    if not prompt:
        raise BadPrompts(_("Write a prompt first."))
    if len(prompt) > LONGEST:
        raise BadPrompts(_("This prompt is longer than %(most)s characters.") % {"most": f"{LONGEST:,}"})
    return [prompt]


def lines(text: str) -> list[str]:
    """Return a prompt for each line that isn't empty.

    Raises:
        BadPrompts: when there are none or too many, or one is too long; names its line.
    """
    numbered = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    return _checked([(number, line) for number, line in numbered if line])


def rows(data: bytes) -> list[str]:
    """Return a prompt for each row of a CSV file: its column "prompt", or the first one where none is called so.

    Raises:
        BadPrompts: when it can't be read, has too many rows, or one without a prompt; names the row.
    """
    table = [(number, row) for number, row in enumerate(_table(data), start=1) if any(cell.strip() for cell in row)]
    headings = [cell.strip().lower() for cell in table[0][1]] if table else []
    place = headings.index(HEADING) if HEADING in headings else 0
    if HEADING in headings:
        del table[0]
    found = []
    for number, row in table:
        prompt = row[place].strip() if place < len(row) else ""
        if not prompt:
            raise BadPrompts(_("Row %(number)d of the file has no prompt.") % {"number": number})
        found.append((number, prompt))
    return _checked(found)


def _table(data: bytes) -> list[list[str]]:
    if len(data) > LARGEST_FILE:
        raise BadPrompts(_("This file is too large. Choose one of at most 4 MB."))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadPrompts(_("This file can't be read. Save it as CSV in UTF-8.")) from None
    # A spreadsheet that writes decimals with commas separates cells with semicolons.
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    try:
        return list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    except csv.Error:
        raise BadPrompts(_("This file can't be read. Save it as CSV in UTF-8.")) from None


def _checked(numbered: list[tuple[int, str]]) -> list[str]:
    if not numbered:
        raise BadPrompts(_("There are no prompts in it."))
    if len(numbered) > MOST:
        told = {"count": len(numbered), "most": MOST}
        raise BadPrompts(_("These are %(count)d prompts. Compare at most %(most)d at a time.") % told)
    for number, prompt in numbered:
        if len(prompt) > LONGEST:
            told_long = {"number": number, "most": f"{LONGEST:,}"}
            raise BadPrompts(_("Row %(number)d is longer than %(most)s characters.") % told_long)
    return [prompt for _number, prompt in numbered]
