"""What people type about themselves, their workspace and its members."""

import contextlib
from typing import Any

from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.core import context
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from agents import services
from agents.accounts import remembered_invitation
from agents.models import Invitation, Member, Role, User

ROLE_HELP = {
    Role.OWNER: _("Everything, other owners included"),
    Role.ADMIN: _("Agents, keys, people and tokens"),
    Role.BILLING: _("Sees usage and invoices"),
    Role.MEMBER: _("Agents and keys"),
}


class SignupForm(AllauthSignupForm):  # type: ignore[misc]
    """Who signs up: with a company, which gets a workspace, or with an invitation, which has one already."""

    company = forms.CharField(
        label=_("Company"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "organization"})
    )
    field_order = ["email", "company", "password1"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invitation: Invitation | None
        self.invitation, self._token = remembered_invitation(context.request) or (None, "")
        self.fields["password1"].help_text = _("At least 10 characters, and not one that everybody uses.")
        self.fields["email"].widget.attrs["autocomplete"] = "username"
        if self.invitation:
            del self.fields["company"]
            # The invitation is for this address only; a disabled field takes nothing else from the browser.
            self.fields["email"].disabled = True
            self.initial["email"] = self.invitation.email

    @transaction.atomic
    def save(self, request: HttpRequest) -> User:
        """Create the person, and the workspace or the place in one that goes with them."""
        user: User = super().save(request)
        user.language = get_language() or ""
        user.save(update_fields=["language"])
        if not self.invitation:
            services.create_workspace(name=self.cleaned_data["company"], owner=user)
            return user
        # Withdrawn this very moment: they are asked to open a workspace of their own next.
        with contextlib.suppress(ValidationError):
            services.accept_invitation(token=self._token, user=user)
        return user


class PasskeyForm(AddWebAuthnForm):  # type: ignore[misc]
    """A new passkey, which replaces the password unless one doesn't want that."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].help_text = _("What you keep it on, such as “Phone”.")
        passwordless = self.fields["passwordless"]
        passwordless.initial = True
        passwordless.label = _("Log in with it alone, without the password")
        passwordless.help_text = _("Without this it is a second step after the password.")


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

    email = forms.EmailField(label=_("Email"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    field_order = ["email", "role"]


class TokenForm(forms.Form):
    """What a workspace token is called."""

    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        help_text=_("What will use it, such as “Deploy script”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
