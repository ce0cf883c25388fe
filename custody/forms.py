"""What people type about what is kept."""

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from agents import keeping
from agents.models import User, Workspace


class KeepForm(forms.Form):
    """How many months requests are kept."""

    months = forms.TypedChoiceField(label=gettext_lazy("Keep requests for"), coerce=int)

    def __init__(self, data: Any = None, *, workspace: Workspace, at: datetime) -> None:
        super().__init__(data, initial={"months": workspace.keep_months})
        self._workspace, self._at = workspace, at
        most = max(keeping.most(workspace, at=at), workspace.keep_months)
        months = self.fields["months"]
        if isinstance(months, forms.ChoiceField):
            months.choices = [(number, _months(number)) for number in range(keeping.LEAST, most + 1)]
        if most < keeping.MOST_ON_A_PLAN:
            months.help_text = _("With an agent on a plan you can keep them for 24 months.")

    def save(self, *, by: User) -> None:
        """Keep them for that long from now on."""
        keeping.keep_requests(workspace=self._workspace, months=self.cleaned_data["months"], by=by, at=self._at)


class CloseForm(forms.Form):
    """The workspace's name, typed by who really wants it gone."""

    name = forms.CharField(widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, data: Any = None, *, workspace: Workspace) -> None:
        super().__init__(data)
        self._name = workspace.name
        self.fields["name"].label = _("Type “%(name)s” to confirm") % {"name": workspace.name}

    def clean_name(self) -> str:
        """Refuse any other name."""
        name: str = self.cleaned_data["name"]
        if name.strip().casefold() != self._name.strip().casefold():
            raise ValidationError(_("This isn't the name of the workspace."))
        return name


def _months(number: int) -> str:
    return ngettext("%(number)s month", "%(number)s months", number) % {"number": number}
