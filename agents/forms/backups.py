"""Which key is asked where an agent's own fails."""

from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents import backups
from agents.forms.agents import key_label
from agents.models import Agent, User

NONE: Final = ""


class BackupForm(forms.Form):
    """A second one of the workspace's saved keys, and the model to ask it for."""

    backup_key = forms.ChoiceField(label=gettext_lazy("Backup key"), required=False)
    backup_model = forms.CharField(
        label=gettext_lazy("Model"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("Left empty, the one that was asked for, which only the same provider knows."),
    )

    def __init__(self, data: Any = None, *, agent: Agent, readonly: bool = False) -> None:
        super().__init__(data, initial={"backup_key": agent.backup_key_id or NONE, "backup_model": agent.backup_model})
        self.agent = agent
        saved = agent.workspace.provider_keys.all()
        self._others = {str(key.pk): key for key in saved if key.pk != agent.provider_key_id}
        choices = [(pk, f"{key.provider_name} · {key_label(key)}") for pk, key in self._others.items()]
        label = self.fields["backup_key"].label
        self.fields["backup_key"] = forms.ChoiceField(
            label=label, required=False, choices=[(NONE, _("No backup")), *choices]
        )
        for field in self.fields.values():
            field.disabled = readonly

    @property
    def possible(self) -> bool:
        """Whether there is a key to choose."""
        return bool(self._others)

    def save(self, *, by: User) -> bool:
        """Name the backup or leave it; return False, and say why in the form, where the services refuse it."""
        given = self.cleaned_data
        chosen = self._others.get(given["backup_key"])
        if chosen is None:
            backups.drop_backup(agent=self.agent, by=by)
            return True
        try:
            backups.set_backup(agent=self.agent, key=chosen, model=given["backup_model"].strip(), by=by)
        except ValidationError as error:
            self.add_error(None, error)
            return False
        return True
