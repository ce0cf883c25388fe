"""What staff type about customers' agents."""

from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from agents import pacing
from agents.models import Agent

DEFAULT: Final = _("Empty for the default of its plan; 0 for no limit, whatever its plan.")


class AllowedPaceForm(BaseDialogForm):  # type: ignore[misc]
    """How many requests and tokens a minute we allow an agent."""

    requests = forms.IntegerField(
        label=_("Requests a minute"),
        required=False,
        min_value=0,
        max_value=pacing.AT_MOST,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=DEFAULT,
    )
    tokens = forms.IntegerField(
        label=_("Tokens a minute"),
        required=False,
        min_value=0,
        max_value=pacing.AT_MOST,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=DEFAULT,
    )

    def __init__(self, *args: Any, object_id: str, **kwargs: Any) -> None:
        super().__init__(*args, object_id=object_id, **kwargs)
        agent = Agent.objects.get(pk=object_id)
        self.fields["requests"].initial = agent.allowed_requests_per_minute
        self.fields["tokens"].initial = agent.allowed_tokens_per_minute
