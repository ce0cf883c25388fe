"""Who an invoice is made out to, as its owner types it."""

from typing import Any

import stdnum.exceptions
from babel import Locale
from django import forms
from django.conf import settings
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from stdnum import get_cc_module
from stdnum.eu import vat

from billing.models import BillingProfile

COUNTRY_CODE = 2


def countries() -> list[tuple[str, str]]:
    """Return the countries by name in the active language."""
    territories = Locale(get_language() or "en").territories
    known = [(code, name) for code, name in territories.items() if len(code) == COUNTRY_CODE and code.isalpha()]
    leaving_out = {"EU", "EZ", "UN", "ZZ", "XA", "XB", "QO"}
    return [("", "—"), *sorted((each for each in known if each[0] not in leaving_out), key=lambda each: each[1])]


class BillingForm(forms.ModelForm):  # type: ignore[type-arg]
    """Name, address, country, VAT number, and where invoices go."""

    class Meta:
        model = BillingProfile
        fields = ("legal_name", "address", "country", "vat_number", "email", "language")
        widgets = {
            "legal_name": forms.TextInput(attrs={"autocomplete": "organization"}),
            "address": forms.Textarea(attrs={"rows": 3, "autocomplete": "street-address"}),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
        }
        help_texts = {"email": _("Left empty, invoices go to the owners and those who see to billing.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["country"] = forms.ChoiceField(
            label=_("Country"),
            required=False,
            choices=countries(),
            widget=forms.Select(attrs={"autocomplete": "country"}),
            help_text=_("With it, the PDF carries the invoice for bookkeeping programs, too."),
        )
        self.fields["language"] = forms.ChoiceField(label=_("Language of invoices"), choices=settings.LANGUAGES)

    def clean(self) -> dict[str, Any]:
        """Check the VAT number against the rules of its country."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if number := given.get("vat_number"):
            try:
                given["vat_number"] = checked_vat_number(number, country=given.get("country", ""))
            except stdnum.exceptions.ValidationError:
                self.add_error("vat_number", _("This isn't a VAT number of that country. Check each character."))
        return given

    def details(self) -> dict[str, str]:
        """Return what was typed, by the profile's columns."""
        return {name: self.cleaned_data[name] for name in self.Meta.fields}


def checked_vat_number(number: str, *, country: str) -> str:
    """Return a VAT number as it's written officially, with its country in front where the EU does so.

    Where nobody has published how a country's numbers are made, any is taken.

    Raises:
        stdnum.exceptions.ValidationError: for one that can't be right.
    """
    # Greece writes EL in its numbers.
    prefix = {"GR": "el"}.get(country, country.lower())
    if prefix in vat.MEMBER_STATES or prefix == "el":
        bare = number.strip().upper()
        return str(vat.validate(bare if bare.startswith(prefix.upper()) else prefix.upper() + bare))
    module = get_cc_module(country.lower(), "vat") if country else None
    return str(module.validate(number)) if module else " ".join(number.split()).upper()
