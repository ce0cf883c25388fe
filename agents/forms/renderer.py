"""How every form is drawn."""

from typing import Any

from django.forms import BaseForm, BoundField, Field
from django.forms.renderers import TemplatesSetting


class LabelledField(BoundField):
    """A field as it is drawn: without the placeholders of allauth, which only repeat its label."""

    def __init__(self, form: BaseForm, field: Field, name: str) -> None:
        super().__init__(form, field, name)
        if any(each.__module__.startswith("allauth.") for each in type(form).__mro__):
            field.widget.attrs.pop("placeholder", None)


class Renderer(TemplatesSetting):
    """Draws forms and fields with the product's own components; widgets stay Django's."""

    form_template_name = "components/form.html"
    field_template_name = "components/field.html"
    bound_field_class: Any = LabelledField
