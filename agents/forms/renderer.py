"""How every form is drawn."""

from django.forms.renderers import TemplatesSetting


class Renderer(TemplatesSetting):
    """Draws forms and fields with the product's own components; widgets stay Django's."""

    form_template_name = "components/form.html"
    field_template_name = "components/field.html"
