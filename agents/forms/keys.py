"""What people type about their saved keys."""

from typing import Any, Final

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents import services
from agents.catalogue import CUSTOM, ECHO, offered
from agents.models import ProviderKey, User, Workspace

KEY_LIMIT: Final = 4096  # characters


def provider_choices() -> list[tuple[str, str]]:
    """Return the providers to choose from; the built-in echo only where it can be reached."""
    echo = bool(settings.PROVIDER_BASE_URL(ECHO, ""))
    return [(row.id, gettext(row.name)) for row in offered(echo=echo)]


class ProviderField(forms.ChoiceField):
    """Which provider. What isn't one is never written into a page: it may be a key that went into the wrong field."""

    default_error_messages = {"invalid_choice": _("There is no such provider.")}


class SecretField(forms.CharField):
    """A key to paste. What was typed is never written into a page again."""

    def __init__(self, **options: Any) -> None:
        attrs = {"autocomplete": "off", "spellcheck": "false", "data-1p-ignore": "", "data-lpignore": "true"}
        widget = forms.PasswordInput(attrs=attrs, render_value=False)
        super().__init__(**{"label": _("API key"), "max_length": KEY_LIMIT, "widget": widget, **options})


class BaseUrlField(forms.CharField):
    """The address of a Custom endpoint."""

    def __init__(self, **options: Any) -> None:
        attrs = {"placeholder": "https://llm.example.com/v1", "inputmode": "url", "spellcheck": "false"}
        widget = forms.TextInput(attrs=attrs)
        super().__init__(**{"label": _("Base URL"), "max_length": 500, "widget": widget, "required": False, **options})


class NewKeyForm(forms.Form):
    """Saves a key for agents to share."""

    provider = ProviderField(label=_("Provider"))
    base_url = BaseUrlField(help_text=_("Where an OpenAI-compatible server answers. Most addresses end in /v1."))
    api_key = SecretField(required=False)
    name = forms.CharField(
        label=_("Name"), max_length=80, required=False, help_text=_("To tell it from others, such as “Production”.")
    )

    def __init__(self, data: Any = None, *, workspace: Workspace) -> None:
        super().__init__(data)
        self.workspace = workspace
        self.fields["provider"] = ProviderField(label=_("Provider"), choices=provider_choices())

    def save(self, *, by: User) -> ProviderKey | None:
        """Save the key; return None, and say why in the form, where the services refuse it."""
        given = self.cleaned_data
        try:
            return services.save_key(
                workspace=self.workspace,
                provider=given["provider"],
                secret=given["api_key"],
                base_url=given["base_url"],
                name=given["name"],
                by=by,
            )
        except ValidationError as error:
            self.add_error(None, error)
            return None


class RenameKeyForm(forms.Form):
    """Gives a key another name."""

    name = forms.CharField(label=_("Name"), max_length=80, required=False)


class ReplaceKeyForm(forms.Form):
    """Puts another secret in a key's place. Custom keys may move to another address with it."""

    base_url = BaseUrlField(help_text=_("A key belongs to its address: to change one, paste the other again."))
    api_key = SecretField(required=False, label=_("New API key"))

    def __init__(self, data: Any = None, *, key: ProviderKey) -> None:
        super().__init__(data, initial={"base_url": key.base_url})
        self.key = key
        if key.provider != CUSTOM:
            del self.fields["base_url"]

    def save(self, *, by: User) -> bool:
        """Replace the secret; return False, and say why in the form, where the services refuse it."""
        given = self.cleaned_data
        try:
            services.replace_key(key=self.key, secret=given["api_key"], base_url=given.get("base_url"), by=by)
        except ValidationError as error:
            self.add_error(None, error)
            return False
        return True
