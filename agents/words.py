"""The catalogue's texts, for the collector of what is to be translated, which doesn't read TOML.

Whoever shows one passes it through ``gettext``; tests hold this list to the catalogue.
"""

from django.utils.translation import gettext_noop as _

TEXTS = (
    _("Support email"),
    _("Answers your customers' e-mails."),
    _("Content writer"),
    _("Writes posts, newsletters and product texts."),
    _("Research agent"),
    _("Reads, compares and sums up sources."),
    _("Coding assistant"),
    _("Writes and reviews code with your team."),
    _("Simple FAQ bot"),
    _("Answers the questions that come up every day."),
    _("Custom"),
    _("Echo (built in)"),
)
