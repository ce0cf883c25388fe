"""Which workspace a page request is about, and who may do what there.

Every page view wears one of these decorators and then asks ``member_of(request)``:

* ``in_workspace``: somebody logged in who belongs to a workspace;
* ``manages_agents``: who may also change agents, keys and agent tokens;
* ``manages_people``: who may also change members and hold workspace tokens;
* ``manages_billing``: who may see invoices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.models import Member, User

SESSION_KEY = "workspace"

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


class NoWorkspace(Exception):
    """The person belongs to no workspace (any more)."""


def member_of(request: HttpRequest) -> Member:
    """Return the membership that this request acts under: the workspace chosen last, or else the first joined.

    Raises:
        NoWorkspace: when there is none. Views under ``in_workspace`` never see it.
    """
    member = _find(request)
    if member is None:
        raise NoWorkspace
    return member


def _find(request: HttpRequest) -> Member | None:
    # Once a request: the page's header asks as well.
    if not hasattr(request, "_member"):
        request._member = _choose(request)  # type: ignore[attr-defined]
    found: Member | None = request._member  # type: ignore[attr-defined]
    return found


def _choose(request: HttpRequest) -> Member | None:
    if not isinstance(request.user, User):
        return None
    memberships = list(request.user.memberships.select_related("workspace", "user").order_by("created_at", "pk"))
    chosen = request.session.get(SESSION_KEY)
    return next((each for each in memberships if str(each.workspace_id) == chosen), next(iter(memberships), None))


def choose_workspace(request: HttpRequest, workspace_id: UUID) -> None:
    """Make the following requests of this browser act in a workspace. Someone else's is ignored when it is read."""
    request.session[SESSION_KEY] = str(workspace_id)
    if hasattr(request, "_member"):
        del request._member


def in_workspace(view: View[P]) -> View[P]:
    """Let in who is logged in and belongs to a workspace; others log in or open one first."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if _find(request) is None:
            return redirect("agents:new_workspace")
        return view(request, *args, **kwargs)

    return login_required(guarded)


def manages_agents(view: View[P]) -> View[P]:
    """Let in who may change agents and keys; other members are told why not."""
    return _allowing(
        view,
        lambda member: member.manages_agents,
        lambda: _("Your role in this workspace covers billing only. An owner or admin can change that."),
    )


def manages_people(view: View[P]) -> View[P]:
    """Let in who may change members and workspace tokens; other members are told why not."""
    return _allowing(
        view,
        lambda member: member.manages_people,
        lambda: _("Only owners and admins of this workspace can do this. Ask one of them."),
    )


def manages_billing(view: View[P]) -> View[P]:
    """Let in who may see invoices and say who they are made out to."""
    return _allowing(
        view,
        lambda member: member.manages_billing,
        lambda: _("Invoices are for owners, admins and those who see to billing. Ask one of them."),
    )


def _allowing(view: View[P], may: Callable[[Member], bool], why_not: Callable[[], str]) -> View[P]:
    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not may(member_of(request)):
            raise PermissionDenied(why_not())
        return view(request, *args, **kwargs)

    return in_workspace(guarded)


# --- What every page shows ----------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """An entry of the navigation."""

    url: str
    name: Any
    icon: str
    prefixes: tuple[str, ...]
    current: bool = False
    roomy: bool = False


BILLING = "/billing/"
# Not under a thumb, where places are few: the page of agents leads there, too.
ROOMY = {"/compare/"}
PLACES = [
    ("/agents/", gettext_lazy("Agents"), "bot", ("/agents/",)),
    ("/usage/", gettext_lazy("Usage"), "chart-no-axes-column", ("/usage/",)),
    ("/alerts/", gettext_lazy("Alerts"), "bell", ("/alerts/",)),
    ("/compare/", gettext_lazy("Compare"), "columns-3", ("/compare/", "/experiments/")),
    ("/keys/", gettext_lazy("Keys"), "key-round", ("/keys/",)),
    (BILLING, gettext_lazy("Billing"), "receipt-text", (BILLING,)),
    ("/settings/", gettext_lazy("Settings"), "settings", ("/settings/", "/accounts/")),
]


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Give every template ``member`` (or nothing) and ``places``, the navigation."""
    return {
        "member": SimpleLazyObject(lambda: _find(request)),
        "places": SimpleLazyObject(lambda: _places(request)),
        "theme": request.COOKIES.get("theme", ""),
    }


def _places(request: HttpRequest) -> list[Place]:
    """Return the navigation; invoices are in it for those who may see them."""
    member = _find(request)
    return [
        Place(url, name, icon, prefixes, current=request.path.startswith(prefixes), roomy=url in ROOMY)
        for url, name, icon, prefixes in PLACES
        if url != BILLING or (member is not None and member.manages_billing)
    ]
