"""What went wrong with an answer, as people say it. On a plan no provider is named, nor its words repeated."""

from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from llm.compare.asking import PROVIDER, STOPPED, Answered
from llm.errors import (
    AgentNotConfigured,
    AgentPaused,
    CeilingReached,
    PlansPaused,
    RateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)

# Of columns that weren't even asked.
GONE: Final = "gone"
NO_TRIES_LEFT: Final = "no_tries_left"

SAID: Final[dict[str, Any]] = {
    STOPPED: gettext_lazy("Stopped."),
    CeilingReached.code: gettext_lazy(
        "This agent has reached its limit for this month. Raise it in the agent's settings to go on."
    ),
    RateLimited.code: gettext_lazy("This agent has used up its requests of this minute. Try again in a moment."),
    AgentPaused.code: gettext_lazy("This agent is paused. Resume it in its settings."),
    PlansPaused.code: gettext_lazy("Agents on a plan are paused here until an open invoice is paid: see Billing."),
    AgentNotConfigured.code: gettext_lazy("This key can't be read any more. Paste it again."),
    UpstreamTimeout.code: gettext_lazy("The answer took too long."),
    UpstreamUnavailable.code: gettext_lazy("There was no answer. Try again in a moment."),
    GONE: gettext_lazy("This can't be asked any more: the key is gone, or the agent has changed."),
    NO_TRIES_LEFT: gettext_lazy("This month's answers of plans above yours are used up."),
}


def said(answered: Answered, *, managed: bool, provider: str = "") -> str:
    """Return what became of an answer that isn't there, in a sentence or two."""
    if answered.code == PROVIDER and not managed:
        return _of_provider(answered, provider)
    return str(SAID.get(answered.code) or _("This couldn't be answered. Try again in a moment."))


def _of_provider(answered: Answered, provider: str) -> str:
    if answered.http_status < 400:  # noqa: PLR2004 - it broke off in the middle of a good answer
        return _("The answer broke off: %(words)s") % {"words": answered.problem}
    told = {"provider": provider, "status": answered.http_status, "words": answered.problem}
    if not answered.problem:
        return _("%(provider)s refused with status %(status)d.") % told
    return _("%(provider)s refused with status %(status)d: %(words)s") % told
