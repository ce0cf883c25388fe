"""What owners type about how fast their agents may go."""

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents import pacing
from agents.models import Agent, User
from agents.pace import NO_LIMIT


class PaceForm(forms.Form):
    """Requests and tokens a minute. Left empty: as much as is allowed."""

    requests_per_minute = forms.IntegerField(
        label=gettext_lazy("Requests a minute"), required=False, min_value=1, max_value=pacing.AT_MOST
    )
    tokens_per_minute = forms.IntegerField(
        label=gettext_lazy("Tokens a minute"), required=False, min_value=1, max_value=pacing.AT_MOST
    )

    def __init__(self, data: Any = None, *, agent: Agent, at: datetime) -> None:
        own = {"requests_per_minute": agent.requests_per_minute, "tokens_per_minute": agent.tokens_per_minute}
        super().__init__(data, initial=own, auto_id="pace_%s")
        self.agent, self._at = agent, at
        allowed = agent.allowed_pace(at)
        self._say("requests_per_minute", allowed.requests)
        self._say("tokens_per_minute", allowed.tokens)

    def save(self, *, by: User) -> bool:
        """Set the limits; return False, and say why in the form, where they can't be."""
        given = self.cleaned_data
        try:
            pacing.set_pace(
                agent=self.agent,
                requests=given["requests_per_minute"],
                tokens=given["tokens_per_minute"],
                by=by,
                at=self._at,
            )
        except ValidationError as error:
            self.add_error(None, error)
            return False
        return True

    def _say(self, name: str, allowed: int) -> None:
        field = self.fields[name]
        field.widget.attrs |= {"inputmode": "numeric", "autocomplete": "off"}
        if allowed == NO_LIMIT:
            field.help_text = _("Empty for as many as it likes.")
            return
        most = number_format(allowed, force_grouping=True)
        field.help_text = _("At most %(most)s. Empty for as many as that.") % {"most": most}
