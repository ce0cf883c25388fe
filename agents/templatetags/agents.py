"""Names for people where tables hold ids."""

from django import template

from agents.catalogue import providers

register = template.Library()


@register.filter
def provider_name(provider_id: str) -> str:
    """Return a provider as people know it."""
    known = providers().get(provider_id)
    return known.name if known else provider_id
