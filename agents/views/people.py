"""Members and invitations of a workspace."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from agents import mail, services
from agents.access import choose_workspace, in_workspace, manages_people, member_of
from agents.accounts import remember_invitation
from agents.forms.people import InvitationForm, RoleForm, grantable_roles
from agents.models import INVITATION_LIFE, Member, User


@in_workspace
def members(request: HttpRequest) -> HttpResponse:
    """List who belongs to the workspace and who is invited; take in an invitation."""
    me = member_of(request)
    if request.method == "POST":
        return _invite(request)
    return _members_page(request, me, InvitationForm(by=me))


@manages_people
def _invite(request: HttpRequest) -> HttpResponse:
    me = member_of(request)
    form = InvitationForm(request.POST, by=me)
    if form.is_valid():
        try:
            invitation, token = services.invite(workspace=me.workspace, by=me.user, **form.cleaned_data)
        except ValidationError as wrong:
            form.add_error(None, wrong)
        else:
            mail.send_invitation(request, invitation=invitation, token=token)
            messages.success(request, _("Invitation sent to %(email)s.") % {"email": invitation.email})
            return redirect("agents:members")
    return _members_page(request, me, form)


def _members_page(request: HttpRequest, me: Member, form: InvitationForm) -> HttpResponse:
    people = me.workspace.memberships.select_related("user").order_by("created_at", "pk")
    invitations = me.workspace.invitations.filter(accepted_at=None).order_by("-created_at")
    context = {
        "people": people,
        "invitations": invitations if me.manages_people else [],
        "form": form,
        "roles": grantable_roles(me),
        "invitation_days": INVITATION_LIFE.days,
        "now": timezone.now(),
    }
    return render(request, "settings/members.html", context, status=422 if form.errors else 200)


@require_POST
@manages_people
def change_role(request: HttpRequest, member_id: int) -> HttpResponse:
    """Give a member another role."""
    me = member_of(request)
    member = get_object_or_404(Member, pk=member_id, workspace=me.workspace)
    form = RoleForm(request.POST, by=me)
    try:
        form.full_clean()
        services.change_role(member=member, role=form.cleaned_data.get("role", member.role), by=me.user)
    except ValidationError as wrong:
        messages.error(request, " ".join(wrong.messages))
    else:
        messages.success(request, _("Saved."))
    return redirect("agents:members")


@require_POST
@in_workspace
def remove(request: HttpRequest, member_id: int) -> HttpResponse:
    """End a membership: somebody else's, or one's own."""
    me = member_of(request)
    if member_id != me.pk:
        return _remove_other(request, member_id)
    return _end(request, me, by=me.user, said=_("You left %(workspace)s.") % {"workspace": me.workspace})


@manages_people
def _remove_other(request: HttpRequest, member_id: int) -> HttpResponse:
    me = member_of(request)
    member = get_object_or_404(Member, pk=member_id, workspace=me.workspace)
    return _end(request, member, by=me.user, said=_("%(email)s was removed.") % {"email": member.user.email})


def _end(request: HttpRequest, member: Member, *, by: User, said: str) -> HttpResponse:
    try:
        services.remove_member(member=member, by=by)
    except ValidationError as wrong:
        messages.error(request, " ".join(wrong.messages))
        return redirect("agents:members")
    messages.success(request, said)
    return redirect("agents:home" if member.user_id == by.pk else "agents:members")


@require_POST
@manages_people
def revoke_invitation(request: HttpRequest, invitation_id: int) -> HttpResponse:
    """Withdraw an invitation."""
    me = member_of(request)
    offer = get_object_or_404(me.workspace.invitations, pk=invitation_id, accepted_at=None)
    services.revoke_invitation(invitation=offer, by=me.user)
    messages.success(request, _("The invitation of %(email)s was withdrawn.") % {"email": offer.email})
    return redirect("agents:members")


def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Open an invitation's link: sign up or log in, then join."""
    offer = services.open_invitation(token)
    if offer is None:
        return render(request, "invitation_gone.html", status=410)
    if not isinstance(request.user, User):
        remember_invitation(request, token)
        return render(request, "invitation.html", {"offer": offer})
    if request.method == "POST":
        return _accept(request, token, request.user)
    wrong_address = offer.email.lower() != request.user.email.lower()
    return render(request, "invitation.html", {"offer": offer, "wrong_address": wrong_address})


def _accept(request: HttpRequest, token: str, user: User) -> HttpResponse:
    try:
        member = services.accept_invitation(token=token, user=user)
    except ValidationError as wrong:
        messages.error(request, " ".join(wrong.messages))
        return redirect("agents:invitation", token)
    choose_workspace(request, member.workspace_id)
    messages.success(request, _("Welcome to %(workspace)s.") % {"workspace": member.workspace})
    return redirect("/agents/")
