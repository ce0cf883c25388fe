"""What staff type about our own keys and the routes of tiers."""

from typing import Any

from django import forms
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminPasswordWidget

from llm.models import PoolKey, Route

KEY_LIMIT = 4096  # characters
# Further than any tier's list goes: where routes wait while they change places.
ASIDE = 10_000


class PoolKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """One of our own keys. Its secret goes in and never comes out."""

    secret = forms.CharField(
        label=gettext_lazy("Key"),
        max_length=KEY_LIMIT,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("Paste it. It's sealed at once, and nobody sees it again."),
    )

    class Meta:
        model = PoolKey
        fields = ("provider", "name", "weight", "places", "enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Adding, the instance is blank but has its id already.
        if self.instance.sealed_secret and "secret" in self.fields:
            self.fields["secret"].required = False
            said = _("Empty to keep the one that ends in %(hint)s.") % {"hint": self.instance.hint}
            self.fields["secret"].help_text = said

    def clean_secret(self) -> str:
        """Refuse what no header can carry: mostly a key with a line break pasted along."""
        secret: str = self.cleaned_data["secret"].strip()
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise forms.ValidationError(_("This doesn't look like a key: it has spaces or unusual characters in it."))
        return secret


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]
    """A line of a tier's list. Any place will do: the others make room."""

    place = forms.IntegerField(
        label=gettext_lazy("Position"),
        min_value=1,
        max_value=100,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=gettext_lazy("1 is tried first. Who is there already moves down."),
    )

    class Meta:
        model = Route
        fields = ("tier", "provider", "model", "enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "place" in self.fields:
            self.fields["place"].initial = self.instance.position


@transaction.atomic
def put(route: Route, *, place: int) -> None:
    """Save a route at a place among its tier's, numbering them anew from 1."""
    others = list(Route.objects.select_for_update().filter(tier=route.tier).exclude(pk=route.pk).order_by("position"))
    order = [*others[: place - 1], route, *others[place - 1 :]]
    # The database keeps positions apart at every moment, so all step aside first.
    for position, each in enumerate(order, start=ASIDE):
        each.position = position
        each.save()
    for position, each in enumerate(order, start=1):
        each.position = position
        each.save(update_fields=["position"])
