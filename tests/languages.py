"""Compiles the catalogues of translations, as ``make setup`` does, for whoever calls pytest directly."""

import os
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALE = Path(__file__).parent.parent / "vutler" / "locale"
CATALOGUES = sorted(LOCALE.glob("*/LC_MESSAGES/django.po"))


def compile_catalogues() -> None:
    for source in CATALOGUES:
        compiled = source.with_suffix(".mo")
        if compiled.exists() and compiled.stat().st_mtime >= source.stat().st_mtime:
            continue
        # Whole before it has its name: several workers may be at it.
        draft = source.with_suffix(f".{os.getpid()}")
        with source.open("rb") as text, draft.open("wb") as file:
            write_mo(file, read_po(text, locale=source.parent.parent.name))
        draft.rename(compiled)
