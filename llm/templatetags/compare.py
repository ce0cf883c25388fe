"""How long answers take, as people read it."""

from typing import Final

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _

register = template.Library()

SECOND: Final = 1_000  # ms
TEN_SECONDS: Final = 10 * SECOND


@register.filter
def seconds(ms: int | None) -> str:
    """Return a time in seconds: 0.41 s, 3.2 s, 12 s; a dash where there is none."""
    if ms is None:
        return "–"
    places = 2 if ms < SECOND else 1 if ms < TEN_SECONDS else 0
    return _("%(seconds)s s") % {"seconds": number_format(ms / SECOND, places)}
