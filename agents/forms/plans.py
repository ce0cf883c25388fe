"""What owners type about their plans."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from agents import subscriptions
from agents.models import Agent, User
from agents.plans import Terms


class LimitForm(forms.Form):
    """How much a month may cost beyond the plan, in dollars."""

    limit = forms.DecimalField(
        label=_("Monthly limit for extra use"),
        max_digits=8,
        decimal_places=2,
        min_value=0,
        max_value=subscriptions.CEILING_AT_MOST,
        help_text=_("In dollars, beyond the price of the plan. With 0, the agent stops when the plan is used up."),
        widget=forms.NumberInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )

    def __init__(self, data: Any = None, *, agent: Agent, terms: Terms) -> None:
        amount = agent.ceiling(terms)
        super().__init__(data, initial={"limit": amount.quantize(1) if amount == int(amount) else amount})
        self.agent = agent

    def save(self, *, by: User) -> bool:
        """Set the limit; return False, and say why in the form, where it can't be."""
        # Left as it was, it goes on following the plan.
        if not self.has_changed():
            return True
        try:
            subscriptions.set_ceiling(agent=self.agent, ceiling=self.cleaned_data["limit"], by=by)
        except ValidationError as error:
            self.add_error("limit", error.messages)
            return False
        return True
