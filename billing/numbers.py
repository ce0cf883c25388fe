"""Numbers of documents: one after the other, without a gap, however many are taken at once."""

from typing import Final

from billing.models import NumberCounter

INVOICE: Final = "INV"
CREDIT_NOTE: Final = "CN"


def take(series: str, *, year: int, count: int) -> list[str]:
    """Return the next ``count`` numbers of a series and year, as ``INV-2026-000001``.

    Call it last in the transaction that uses them: others wait at the counter until that is over, and where it is
    rolled back the numbers are free again.
    """
    # Inserted first, so that there is always a row to hold.
    NumberCounter.objects.bulk_create([NumberCounter(series=series, year=year)], ignore_conflicts=True)
    counter = NumberCounter.objects.select_for_update().get(series=series, year=year)
    first, counter.last = counter.last + 1, counter.last + count
    counter.save(update_fields=["last"])
    return [f"{series}-{year}-{number:06}" for number in range(first, counter.last + 1)]
