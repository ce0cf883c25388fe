"""What people type about themselves, their workspace and its members."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from agents.models import Member, Role

ROLE_HELP = {
    Role.OWNER: _("Everything, other owners included"),
    Role.ADMIN: _("Agents, keys, people and tokens"),
    Role.BILLING: _("Sees usage and invoices"),
    Role.MEMBER: _("Agents and keys"),
}


class WorkspaceForm(forms.Form):
    """The workspace's name."""

    name = forms.CharField(label=_("Company or workspace name"), max_length=120)


class RoleForm(forms.Form):
    """A role that its giver may give: only owners make owners."""

    role = forms.ChoiceField(label=_("Role"))

    def __init__(self, *args: Any, by: Member, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        role = self.fields["role"]
        if isinstance(role, forms.ChoiceField):
            role.choices = [(value, f"{Role(value).label}: {ROLE_HELP[Role(value)]}") for value in grantable_roles(by)]


def grantable_roles(by: Member) -> list[Role]:
    """Return the roles that ``by`` may give, the most common first."""
    roles = [Role.MEMBER, Role.ADMIN, Role.BILLING]
    return [*roles, Role.OWNER] if by.role == Role.OWNER else roles


class InvitationForm(RoleForm):
    """Whom to invite, and as what."""

    email = forms.EmailField(
        label=_("E-mail address"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )
    field_order = ["email", "role"]


class TokenForm(forms.Form):
    """What a workspace token is called."""

    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        help_text=_("What will use it, such as “Deploy script”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
