"""The pages of experiments: all of them, a new one, and what comes of one."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from agents.access import in_workspace, manages_agents, member_of
from agents.models import Agent
from llm.experiments import results, services
from llm.experiments.advice import advice
from llm.experiments.forms import ExperimentForm, Sides, begin
from llm.experiments.showing import shown
from llm.models import Experiment
from metering.store import StoreUnavailable


@require_GET
@in_workspace
def experiments(request: HttpRequest) -> HttpResponse:
    """List the workspace's experiments, and what may be worth one."""
    member, agents = member_of(request), list(_agents_of(request))
    mine = _experiments_of(request)
    busy = {each.agent_id for each in mine if not each.over}
    free = [agent for agent in agents if agent.pk not in busy]
    context = {
        "experiments": mine,
        "agents": free,
        "has_agents": bool(agents),
        "advice": advice(free, workspace_id=member.workspace.pk, at=timezone.now()) if member.manages_agents else [],
    }
    return render(request, "experiments/list.html", context)


@manages_agents
def new(request: HttpRequest) -> HttpResponse:
    """Start an experiment: first the agent, then its sides."""
    now, agents = timezone.now(), list(_agents_of(request))
    agent = _chosen(request, agents)
    if agent is None:
        return render(request, "experiments/choose.html", {"agents": agents})
    data = request.POST if request.method == "POST" else None
    form = ExperimentForm(data)
    sides = Sides(data, agent=agent, at=now, given=request.GET.getlist("arm"))
    by = member_of(request).user
    if data and all([form.is_valid(), sides.is_valid()]) and (made := begin(form, sides, by=by, at=now)):
        messages.success(request, _("It has begun. Come back in a few days: we say when there is an answer."))
        return redirect("llm:experiment", made.pk)
    context = {"agent": agent, "form": form, "sides": sides, "two": sides.forms[:2], "more": sides.forms[2:]}
    return render(request, "experiments/new.html", context, status=422 if data else 200)


@require_GET
@in_workspace
def experiment(request: HttpRequest, experiment_id: UUID) -> HttpResponse:
    """Show what has come of an experiment until now."""
    found, now = _found(request, experiment_id), timezone.now()
    try:
        seen = results.latest(found, at=now)
    except StoreUnavailable:
        return render(request, "metering/away.html", status=503)
    return render(request, "experiments/experiment.html", shown(found, seen, at=now))


@require_POST
@manages_agents
def pause(request: HttpRequest, experiment_id: UUID) -> HttpResponse:
    """Let the agent answer as without the experiment, until it is resumed."""
    services.pause(experiment=_found(request, experiment_id), by=member_of(request).user)
    return redirect("llm:experiment", experiment_id)


@require_POST
@manages_agents
def resume(request: HttpRequest, experiment_id: UUID) -> HttpResponse:
    """Divide the agent's traffic again."""
    services.resume(experiment=_found(request, experiment_id), by=member_of(request).user)
    return redirect("llm:experiment", experiment_id)


@require_POST
@manages_agents
def end(request: HttpRequest, experiment_id: UUID) -> HttpResponse:
    """End it; the agent goes on as it was."""
    services.end(experiment=_found(request, experiment_id), by=member_of(request).user, at=timezone.now())
    messages.success(request, _("The experiment is over. The agent goes on as it was."))
    return redirect("llm:experiment", experiment_id)


@require_POST
@manages_agents
def adopt(request: HttpRequest, experiment_id: UUID, arm_id: UUID) -> HttpResponse:
    """Make the agent what one of the sides is, and end the experiment."""
    found = _found(request, experiment_id)
    arm = get_object_or_404(found.arms, pk=arm_id)
    try:
        services.adopt(experiment=found, arm=arm, by=member_of(request).user, at=timezone.now())
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("Adopted: %(name)s.") % {"name": arm.name})
    return redirect("llm:experiment", experiment_id)


@require_POST
@manages_agents
def delete(request: HttpRequest, experiment_id: UUID) -> HttpResponse:
    """Forget an experiment."""
    services.delete(experiment=_found(request, experiment_id), by=member_of(request).user)
    messages.success(request, _("The experiment was deleted."))
    return redirect("llm:experiments")


def _agents_of(request: HttpRequest) -> QuerySet[Agent]:
    workspace = member_of(request).workspace
    return (
        workspace.agents.living().select_related("workspace", "provider_key").prefetch_related("stays").order_by("name")
    )


def _experiments_of(request: HttpRequest) -> QuerySet[Experiment]:
    mine = Experiment.objects.filter(agent__workspace=member_of(request).workspace)
    return mine.select_related("agent__workspace", "adopted")


def _found(request: HttpRequest, experiment_id: UUID) -> Experiment:
    whole = _experiments_of(request).prefetch_related("arms__key", "agent__stays", "looks")
    return get_object_or_404(whole, pk=experiment_id)


def _chosen(request: HttpRequest, agents: list[Agent]) -> Agent | None:
    """Return the agent that is named, or the only one there is."""
    wanted: Any = request.GET.get("agent")
    if wanted is None:
        return agents[0] if len(agents) == 1 else None
    return next((agent for agent in agents if str(agent.pk) == wanted), None)
