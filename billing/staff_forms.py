"""What staff type about invoices: corrections, tax rates, prices, and the inputs of a forecast."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django import forms
from django.db.models import Min
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from billing.documents.content import money
from billing.models import PPM_IN_PERCENT, BillingProfile, HostingChoice, HostingPlan, Invoice
from billing.revenue import YEARS, Inputs
from metering.periods import Month

CREDIT: Final = "credit"
VOID: Final = "void"
UNCOLLECTIBLE: Final = "uncollectible"


class CorrectionForm(forms.Form):
    """What becomes of an invoice that isn't right, and why. Amounts by line are for a credit note in part."""

    deed = forms.ChoiceField(
        label=gettext_lazy("What to do"),
        choices=[
            (CREDIT, gettext_lazy("Write a credit note")),
            (VOID, gettext_lazy("Take it back: it was never meant")),
            (UNCOLLECTIBLE, gettext_lazy("Give it up: nobody will pay it")),
        ],
        widget=UnfoldAdminRadioSelectWidget,
        initial=CREDIT,
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("The customer reads it on a credit note."),
    )

    def __init__(self, *args: Any, left: Mapping[UUID, tuple[str, Decimal]], **kwargs: Any) -> None:
        """``left``: by line, its words and what isn't credited yet, in USD."""
        super().__init__(*args, **kwargs)
        self._left = left
        for line, (words, amount) in left.items():
            self.fields[str(line)] = forms.DecimalField(
                label=words,
                required=False,
                max_digits=12,
                decimal_places=2,
                widget=UnfoldAdminDecimalFieldWidget,
                help_text=_("%(amount)s is left. Leave all amounts empty to credit everything.")
                % {"amount": money(amount)},
            )

    def amounts(self) -> dict[UUID, Decimal] | None:
        """Return what was typed by line, or None for everything."""
        typed = {line: self.cleaned_data[str(line)] for line in self._left if self.cleaned_data[str(line)]}
        return typed or None


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    """A billing profile with its tax rate in percent."""

    tax_percent = forms.DecimalField(
        label=gettext_lazy("Tax rate in percent"),
        min_value=0,
        max_value=100,
        max_digits=7,
        decimal_places=4,
        widget=UnfoldAdminDecimalFieldWidget,
    )

    class Meta:
        model = BillingProfile
        fields = (
            *("workspace", "legal_name", "address", "country", "vat_number", "email", "language"),
            *("tax_percent", "reverse_charge"),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("tax_percent", Decimal(self.instance.tax_ppm) / PPM_IN_PERCENT)

    def clean(self) -> dict[str, Any]:
        """Let reverse charge go with a VAT number only, as the table insists."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("reverse_charge") and not given.get("vat_number"):
            self.add_error("reverse_charge", _("Reverse charge needs a VAT number."))
        if "tax_percent" in given:
            self.instance.tax_ppm = int(given["tax_percent"] * PPM_IN_PERCENT)
        return given


class HostingForm(forms.ModelForm):  # type: ignore[type-arg]
    """A workspace's choice of hosting, among the plans that there are."""

    code = forms.ChoiceField(label=gettext_lazy("Hosting"), widget=UnfoldAdminSelectWidget)

    class Meta:
        model = HostingChoice
        fields = ("workspace", "code", "from_day")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The latest name of each.
        names = dict(HostingPlan.objects.order_by("from_day").values_list("code", "name"))
        self.fields["code"].choices = list(names.items())  # type: ignore[attr-defined]


class MonthForm(forms.Form):
    """The month that staff look at."""

    month = forms.ChoiceField(label=gettext_lazy("Month"), widget=UnfoldAdminSelectWidget)

    def __init__(self, data: Mapping[str, Any] | None, *, last: Month) -> None:
        """``last``: the latest month to choose from, which goes on."""
        months = [last, last.previous()]
        first = Invoice.objects.aggregate(first=Min("period_start"))["first"]
        while first and months[-1].start > first:
            months.append(months[-1].previous())
        self._usual = months[1]
        super().__init__({"month": str(self._usual), **(data or {})})
        self.fields["month"].choices = [(str(each), str(each)) for each in months]  # type: ignore[attr-defined]

    def chosen(self) -> Month:
        """Return the month, the last that is over where that makes no sense."""
        return Month.parse(self.cleaned_data["month"]) if self.is_valid() else self._usual


class ForecastForm(forms.Form):
    """The five figures of a forecast."""

    customers = forms.IntegerField(
        label=gettext_lazy("Hosted customers"), min_value=0, max_value=10**6, widget=UnfoldAdminIntegerFieldWidget
    )
    hosting = forms.DecimalField(label=gettext_lazy("Hosting, USD a month each"), min_value=0, max_value=10**6)
    share = forms.DecimalField(label=gettext_lazy("On Managed, %"), min_value=0, max_value=100)
    agents = forms.DecimalField(label=gettext_lazy("Agents each"), min_value=0, max_value=10**4)
    per_agent = forms.DecimalField(label=gettext_lazy("USD a month per agent"), min_value=0, max_value=10**4)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget = UnfoldAdminDecimalFieldWidget()

    def inputs(self) -> Inputs:
        """Return the figures, those of the first year where they don't make sense."""
        return Inputs(**self.cleaned_data) if self.is_valid() else YEARS[0]
