"""The month that a command is about, as people type it."""

from argparse import ArgumentTypeError

from metering.periods import Month


def month(text: str) -> Month:
    """Read ``2026-02``.

    Raises:
        ArgumentTypeError: for anything else.
    """
    try:
        return Month.parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
