"""Why a provider refuses a saved key, and how that is said. Plain words: the key's owner needn't know a status code."""

from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.catalogue import CUSTOM, providers


class Trouble(models.TextChoices):
    """What is wrong with a key, as far as its provider lets on."""

    WRONG_KEY = "wrong_key", gettext_lazy("it isn't valid any more")
    NO_CREDIT = "no_credit", gettext_lazy("it has no credit left")
    RATE_LIMITED = "rate_limited", gettext_lazy("it is used more than its account allows")
    FORBIDDEN = "forbidden", gettext_lazy("it may not be used for this")


REMEDIES = {
    Trouble.WRONG_KEY: gettext_lazy("Replace it with a new one from your account there."),
    Trouble.NO_CREDIT: gettext_lazy("Top up your account there; nothing needs to be changed here."),
    Trouble.RATE_LIMITED: gettext_lazy("Raise its limits in your account there, or let less traffic run on it."),
    Trouble.FORBIDDEN: gettext_lazy("Check in your account there which models and regions it is allowed."),
}


def say_trouble(trouble: str, *, provider: str, since: datetime) -> str:
    """Return what is wrong since when: "OpenAI has refused this key since 10:42 UTC: it has no credit left."."""
    why = Trouble(trouble).label
    if provider == CUSTOM:
        return _("Your server has refused this key since %(when)s: %(why)s.") % {"when": _when(since), "why": why}
    name = providers()[provider].name if provider in providers() else provider
    return _("%(provider)s has refused this key since %(when)s: %(why)s.") % {
        "provider": name,
        "when": _when(since),
        "why": why,
    }


class CanBeRefused(models.Model):
    """A key that may stop working: why, since when, and when its owners were last told (``agents.key_health``)."""

    provider: "models.CharField[str, str]"
    trouble = models.CharField(max_length=20, choices=Trouble, blank=True, editable=False)
    trouble_since = models.DateTimeField(null=True, blank=True, editable=False)
    told_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def trouble_said(self) -> str:
        """What is wrong with it, in a sentence; empty while it works."""
        if not self.trouble or self.trouble_since is None:
            return ""
        return say_trouble(self.trouble, provider=self.provider, since=self.trouble_since)

    @property
    def remedy(self) -> str:
        """What its owners can do about that."""
        return str(REMEDIES[Trouble(self.trouble)]) if self.trouble else ""


def _when(moment: datetime) -> str:
    moment = timezone.localtime(moment)
    time = f"{moment:%H:%M} {moment.tzname()}"
    if moment.date() == timezone.localdate():
        return time
    return _("%(day)s, %(time)s") % {"day": date_format(moment, "MONTH_DAY_FORMAT"), "time": time}
