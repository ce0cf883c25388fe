"""The pages of comparisons: what to compare, a run as it goes, its votes, and the runs that were kept."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import reswap, retarget

from agents.access import manages_agents, member_of
from agents.models import Agent
from llm import running
from llm.compare import services, showing
from llm.compare.forms import AskForm, CompareForm, VoteForm, agent_of
from llm.compare.rounds import Asking, whole
from llm.compare.stream import stream
from llm.models import Comparison, PromptSet

KEPT_SHOWN: Final = 20
NOTHING_NOW: Final = gettext_lazy("Nothing can be asked right now. Try again in a moment.")


@never_cache
@manages_agents
def compare(request: HttpRequest) -> HttpResponse:
    """Ask what to compare, and begin to compare it."""
    agents, now = _agents(request), timezone.now()
    agent = agent_of(agents, request.POST.get("agent") or request.GET.get("agent", ""), at=now)
    if agent is None:
        return render(request, "compare/compare.html", {"form": None})
    if request.method != "POST":
        return _form_page(request, CompareForm(agent=agent, at=now), agents)
    if "switch" in request.POST:
        typed = {name: request.POST[name] for name in ("source", "prompt", "save_as") if name in request.POST}
        return _form_page(request, CompareForm(agent=agent, at=now, initial=typed), agents)
    form = CompareForm(request.POST, request.FILES, agent=agent, at=now)
    if not form.is_valid():
        return _form_page(request, form, agents)
    if running.answering() is None:
        form.add_error(None, NOTHING_NOW)
        return _form_page(request, form, agents)
    if request.headers.get("hx-request") == "true":
        return render(request, "compare/_run.html", _run(form.begin(), form.cleaned_data["prompts"]))
    return _without_script(request, form, agents)


def _without_script(request: HttpRequest, form: CompareForm, agents: Sequence[Agent]) -> HttpResponse:
    """Answer with the page of a single prompt's answers, once all of them are there."""
    prompts = form.cleaned_data["prompts"]
    if len(prompts) > 1:
        form.add_error(None, _("A list needs JavaScript. Without it, compare one prompt at a time."))
        return _form_page(request, form, agents)
    comparison = form.begin()
    asking = Asking.of(comparison, number=0, prompt=prompts[0], at=timezone.now())
    round_ = async_to_sync(whole)(asking)
    context = {
        "form": CompareForm(agent=form.agent, at=timezone.now(), initial={"prompt": prompts[0]}),
        "agents": agents,
        "round": round_,
        **showing.summed(comparison, list(comparison.answers.all())),
    }
    return render(request, "compare/compare.html", context)


@never_cache
@require_POST
@manages_agents
def ask(request: HttpRequest, comparison_id: UUID) -> HttpResponse:
    """Put one prompt of a comparison to all its columns, and stream what they answer."""
    comparison, form = _comparison(request, comparison_id), AskForm(request.POST)
    if comparison.agent.deleted_at:
        raise Http404
    if not form.is_valid() or form.cleaned_data["number"] >= comparison.count:
        return HttpResponse(_("This isn't a prompt of this comparison."), status=400)
    if running.answering() is None:
        return HttpResponse(NOTHING_NOW, status=503)
    number, prompt = form.cleaned_data["number"], form.cleaned_data["prompt"]
    try:
        asking = Asking.of(comparison, number=number, prompt=prompt, at=timezone.now())
    except services.AskedAlready:
        return HttpResponse(_("This prompt was asked already."), status=409)
    return stream(request, asking)


@never_cache
@require_POST
@manages_agents
def vote(request: HttpRequest, comparison_id: UUID) -> HttpResponse:
    """Take a thumb for an answer, and show what it reveals."""
    comparison, form = _comparison(request, comparison_id), VoteForm(request.POST)
    if not form.is_valid() or form.cleaned_data["place"] >= len(comparison.columns):
        return HttpResponse(status=400)
    number, place = form.cleaned_data["number"], form.cleaned_data["place"]
    column = showing.order(comparison, number)[place]
    services.vote(comparison=comparison, prompt=number, column=column, thumb=form.cleaned_data["thumb"])
    if request.headers.get("hx-request") != "true":
        return redirect("llm:comparison", comparison.pk)
    return render(request, "compare/_voted.html", showing.voted(comparison, number))


@require_POST
@manages_agents
def show_names(request: HttpRequest, comparison_id: UUID) -> HttpResponse:
    """Name all answers of a blind comparison, voted on or not."""
    comparison = _comparison(request, comparison_id)
    services.show_names(comparison)
    if request.headers.get("hx-request") != "true":
        return redirect("llm:comparison", comparison.pk)
    answers = list(comparison.answers.all())
    context = {"rounds": showing.rounds(comparison, answers), **showing.summed(comparison, answers)}
    return render(request, "compare/_voted.html", context)


@never_cache
@require_GET
@manages_agents
def comparison(request: HttpRequest, comparison_id: UUID) -> HttpResponse:
    """Show what a comparison came to, with its prompts and answers where it was kept."""
    found = _comparison(request, comparison_id)
    answers = list(found.answers.all())
    context = {"rounds": showing.rounds(found, answers), **showing.summed(found, answers)}
    return render(request, "compare/comparison.html", context)


@require_POST
@manages_agents
def delete_comparison(request: HttpRequest, comparison_id: UUID) -> HttpResponse:
    """Delete a comparison with all that was kept of it."""
    _comparison(request, comparison_id).delete()
    messages.success(request, _("The run is deleted."))
    return redirect("llm:compare")


@require_POST
@manages_agents
def delete_prompts(request: HttpRequest, set_id: UUID) -> HttpResponse:
    """Delete a set of prompts."""
    get_object_or_404(PromptSet, workspace=member_of(request).workspace, pk=set_id).delete()
    messages.success(request, _("The prompts are deleted."))
    return redirect("llm:compare")


def _agents(request: HttpRequest) -> list[Agent]:
    mine = member_of(request).workspace.agents.living()
    return list(mine.select_related("workspace", "provider_key").prefetch_related("stays"))


def _comparison(request: HttpRequest, comparison_id: UUID) -> Comparison:
    mine = Comparison.objects.filter(workspace=member_of(request).workspace)
    return get_object_or_404(mine.select_related("agent__workspace"), pk=comparison_id)


def _run(begun: Comparison, prompts: Sequence[str]) -> dict[str, Any]:
    """Return what a run's part of the page shows before anything is answered. Its prompts are in the page only."""
    return {"prompts": prompts, **showing.summed(begun, [])}


def _form_page(request: HttpRequest, form: CompareForm, agents: Sequence[Agent]) -> HttpResponse:
    workspace = form.agent.workspace
    context = {
        "form": form,
        "agents": agents,
        "sets": workspace.prompt_sets.all(),
        "kept": workspace.comparisons.filter(kept=True).select_related("agent")[:KEPT_SHOWN],
    }
    if request.headers.get("hx-request") != "true":
        return render(request, "compare/compare.html", context, status=422 if form.errors else 200)
    answer = render(request, "compare/_form.html", context, status=422 if form.errors else 200)
    return reswap(retarget(answer, "#compare-form"), "outerHTML")
