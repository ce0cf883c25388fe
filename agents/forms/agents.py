"""What people type about their agents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents import services
from agents.catalogue import CUSTOM, providers, templates
from agents.crypto import Secret
from agents.forms.keys import BaseUrlField, ProviderField, SecretField, provider_choices
from agents.models import Agent, ProviderKey, User, Workspace

NEW_KEY: Final = "new"
BLANK: Final = "blank"

ICONS: Final = {
    "support-email": "mail",
    "content-writer": "pen-line",
    "research-agent": "telescope",
    "coding-assistant": "code",
    "faq-bot": "message-circle-question-mark",
}


class NewAgentForm(forms.Form):
    """Starts an agent from a template or blank."""

    template = forms.CharField(required=False, max_length=40)
    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Left empty, the template's name."),
    )

    def cards(self) -> list[dict[str, Any]]:
        """Return the templates to choose from, a blank one last."""
        chosen = self["template"].value() or BLANK
        rows: list[dict[str, Any]] = [
            {
                "id": row.id,
                "name": gettext(row.name),
                "description": gettext(row.description),
                "icon": ICONS.get(row.id, "bot"),
            }
            for row in templates().values()
        ]
        rows.append({"id": BLANK, "name": _("Blank"), "description": _("Start from nothing."), "icon": "plus"})
        return [{**row, "chosen": row["id"] == chosen} for row in rows]

    def clean(self) -> dict[str, Any]:
        """Take the template's name where none is given."""
        given = super().clean() or {}
        template = given.get("template", "")
        given["template"] = template if template in templates() else ""
        if not given.get("name") and given["template"]:
            given["name"] = gettext(templates()[given["template"]].name)
        if not given.get("name") and "name" not in self.errors:
            self.add_error("name", _("Give your agent a name."))
        return given

    def save(self, *, workspace: Workspace, by: User) -> Agent:
        """Create the agent."""
        given = self.cleaned_data
        return services.create_agent(workspace=workspace, name=given["name"], template=given["template"], by=by)


class RenameAgentForm(forms.Form):
    """Gives an agent another name."""

    name = forms.CharField(label=_("Name"), max_length=80)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyToCheck:
    """A key, and where it would be used."""

    provider: str
    secret: Secret
    base_url: str
    model: str


class ModelForm(forms.Form):
    """Which provider, key and model an agent runs on: the first drawing of ``llm-strategy``.

    Which keys and models can be chosen follows from the provider: the one asked for, or else the agent's. A model
    may be any; those on offer are suggestions.
    """

    provider = ProviderField(label=_("LLM provider"))
    key = forms.ChoiceField(label=_("API key"), required=False)
    api_key = SecretField(required=False)
    base_url = BaseUrlField()
    model = forms.CharField(
        label=_("Model"), required=False, max_length=200, help_text=_("Used when a request doesn't name its own.")
    )
    other_model = forms.CharField(
        label=_("Name of the model"),
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": _("Name of the model")}
        ),
    )

    def __init__(self, data: Any = None, *, agent: Agent, provider: str = "", readonly: bool = False) -> None:
        asked = (data.get("provider", "") if data is not None else provider) or agent.provider
        self.agent = agent
        self.chosen = providers().get(asked, providers()["openai"])
        self.saved = list(agent.workspace.provider_keys.filter(provider=self.chosen.id))
        super().__init__(data, initial=self._initial())
        self.fields["provider"] = ProviderField(label=_("LLM provider"), choices=self._provider_choices())
        self.fields["key"] = forms.ChoiceField(label=_("API key"), required=False, choices=self._key_choices())
        self.offer([])
        for field in self.fields.values():
            field.disabled = readonly

    def _provider_choices(self) -> list[tuple[str, str]]:
        choices = provider_choices()
        now = providers().get(self.agent.provider)
        return choices if now is None or now.id in dict(choices) else [*choices, (now.id, now.name)]

    def _initial(self) -> dict[str, str]:
        kept = self.agent.provider == self.chosen.id
        key = self.agent.provider_key if kept else next(iter(self.saved), None)
        model = self.agent.model if kept else next(iter(self.chosen.models), "")
        return {"provider": self.chosen.id, "key": str(key.pk) if key else NEW_KEY, "model": model}

    def _key_choices(self) -> list[tuple[str, Any]]:
        return [*((str(key.pk), key_label(key)) for key in self.saved), (NEW_KEY, _("Paste a new key"))]

    def offer(self, live_models: Sequence[str]) -> None:
        """Let people choose among the provider's models, the live ones of a key, and the one they have now."""
        current = str(self["model"].value() or "")
        known = list(self.chosen.models)
        if current and current not in known and current not in live_models:
            known.insert(0, current)
        live = [each for each in live_models if each not in known]
        choices: list[Any] = [(each, each) for each in known]
        if live:
            choices.append((_("Also available to this key"), [(each, each) for each in live]))
        self.fields["model"].widget = forms.Select(choices=[*choices, ("", _("Another model…"))])

    def clean(self) -> dict[str, Any]:
        """Settle on one model, and on one of: a saved key, a new one, none yet."""
        given = super().clean() or {}
        given["model"] = given.get("model") or given.get("other_model", "")
        given["saved_key"] = next((key for key in self.saved if str(key.pk) == given.get("key")), None)
        given["pasted"] = given["saved_key"] is None and bool(given.get("api_key") or given.get("base_url"))
        had_one = self.agent.provider == self.chosen.id and self.agent.provider_key_id
        if had_one and not given["saved_key"] and not given["pasted"]:
            self.add_error("api_key", _("Paste the new key, or choose one of your saved keys."))
        return given

    def save(self, *, by: User) -> bool:
        """Change the agent; return False, and say why in the form, where the services refuse something."""
        try:
            self._save(by)
        except ValidationError as error:
            self.agent.refresh_from_db()
            self.add_error(None, error)
            return False
        return True

    def to_check(self) -> KeyToCheck | None:
        """Return the key that is chosen or pasted, or None where there is neither.

        Raises:
            CannotOpen: when the saved one's seal doesn't open any more.
        """
        given = self.cleaned_data
        saved: ProviderKey | None = given["saved_key"]
        if saved is None and not given["pasted"]:
            return None
        return KeyToCheck(
            provider=self.chosen.id,
            secret=saved.open() if saved else Secret(given["api_key"].strip()),
            # A saved key goes to its own address, whatever else was typed.
            base_url=saved.base_url if saved else given["base_url"].strip(),
            model=given["model"],
        )

    @transaction.atomic
    def _save(self, by: User) -> None:
        given = self.cleaned_data
        services.change_agent(agent=self.agent, provider=given["provider"], model=given["model"], by=by)
        key = given["saved_key"]
        if given["pasted"]:
            key = services.save_key(
                workspace=self.agent.workspace,
                provider=given["provider"],
                secret=given["api_key"],
                base_url=given["base_url"],
                by=by,
            )
        if key:
            services.use_key(agent=self.agent, key=key, by=by)


class AgentTokenForm(forms.Form):
    """What a new token of an agent is called."""

    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": _("What will use it")}),
    )


def key_label(key: ProviderKey) -> str:
    """Return how a saved key shows in a list: its name, its hint, and where it leads if that is one's own server."""
    parts = [key.name, key.hint or (_("no key") if key.provider == CUSTOM else ""), key.base_url]
    return " · ".join(str(each) for each in parts if each)
