"""The pages of plans: choosing one, agreeing to what it costs, and the limit on extra use."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from agents import services, subscriptions
from agents.access import manages_agents, member_of
from agents.forms.plans import LimitForm
from agents.models import Agent
from agents.offers import announcement, offer, offers, standing, usual
from agents.plans import Change, Kind
from agents.views.agents import agent_of


@never_cache
@require_GET
@manages_agents
def choose(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Show the three plans as cards, with what each would come to today."""
    found, now = agent_of(request, agent_id), timezone.now()
    cards = offers(found, at=now)
    picked = next((each for each in cards if each.current), None) or next(
        (each for each in cards if each.recommended), None
    )
    context = {
        "agent": found,
        "offers": cards,
        "picked": picked or next(each for each in cards if each.plan.popular),
        "standing": standing(found, at=now),
        "usual": usual(found),
        "then": cards[0].change.next_month,
    }
    return render(request, "plans/choose.html", context)


@never_cache
@manages_agents
def confirm(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Say what a plan costs this month and from next month; once that's agreed to, put the agent on it."""
    asked = request.POST if request.method == "POST" else request.GET
    return _change(request, agent_id, tier=asked.get("tier", ""))


@never_cache
@manages_agents
def leave(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Say when the plan ends; once that's agreed to, end it."""
    return _change(request, agent_id, tier=None)


def _change(request: HttpRequest, agent_id: UUID, *, tier: str | None) -> HttpResponse:
    found, now = agent_of(request, agent_id), timezone.now()
    try:
        if request.method != "POST":
            change = subscriptions.preview_plan(agent=found, tier=tier, at=now)
            return _confirm_page(request, found, change)
        me, agreed = member_of(request).user, request.POST.get("agreed", "")
        if tier is None:
            change = subscriptions.leave_managed(agent=found, by=me, at=now, agreed=agreed)
        else:
            change = subscriptions.choose_plan(agent=found, tier=tier, by=me, at=now, agreed=agreed)
    except subscriptions.FiguresChanged as error:
        change = subscriptions.preview_plan(agent=found, tier=tier, at=now)
        return _confirm_page(request, found, change, notice=error.messages[0])
    except ValidationError as error:
        messages.error(request, error.messages[0])
        return redirect("agents:plan", agent_id)
    return _done(request, found, change)


def _confirm_page(request: HttpRequest, found: Agent, change: Change, *, notice: str = "") -> HttpResponse:
    if change.kind is Kind.NOTHING:
        messages.info(request, announcement(found, change))
        return redirect("agents:agent", found.pk)
    context = {
        "agent": found,
        "change": change,
        "offer": offer(found, change.tier, at=change.at) if change.tier else None,
        "notice": notice,
    }
    return render(request, "plans/confirm.html", context, status=409 if notice else 200)


def _done(request: HttpRequest, found: Agent, change: Change) -> HttpResponse:
    """Go on to the agent, or, where nothing can speak as it yet, to what is needed for that."""
    if change.kind is Kind.JOIN and not found.tokens.filter(revoked_at=None).exists():
        _token, secret = services.create_agent_token(agent=found, by=member_of(request).user)
        context = {"agent": found, "secret": secret.reveal(), "base_url": request.build_absolute_uri("/v1")}
        return render(request, "plans/started.html", {**context, "done": announcement(found, change)})
    messages.success(request, announcement(found, change))
    return redirect("agents:agent", found.pk)


@require_POST
@manages_agents
def limit(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Change how much a month may cost beyond the plan."""
    found = agent_of(request, agent_id)
    terms = found.terms_at(timezone.now())
    if terms is None:
        return redirect("agents:agent", agent_id)
    form = LimitForm(request.POST, agent=found, terms=terms)
    if form.is_valid() and form.save(by=member_of(request).user):
        messages.success(request, _("Saved."))
        return redirect("agents:agent", agent_id)
    return render(request, "plans/limit.html", {"agent": found, "form": form}, status=422)
