"""The page side of checking a key: an answer in plain words, put under the button that was pressed."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from agents import key_health
from agents.access import manages_agents, member_of
from agents.crypto import CannotOpen
from agents.forms.agents import ModelForm
from agents.models import Agent
from llm.key_check import KeyCheck, check_key


@never_cache
@require_POST
@manages_agents
def check_agent_key(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Try the key that is chosen or pasted in an agent's settings, and offer the models that it can use."""
    mine = Agent.objects.living().filter(workspace=member_of(request).workspace)
    agent = get_object_or_404(mine.select_related("workspace", "provider_key"), pk=agent_id)
    form = ModelForm(request.POST, agent=agent)
    check = _check(form)
    form.offer(check.models)
    return _answer(request, {"check": check, "agent": agent, "form": form})


@never_cache
@require_POST
@manages_agents
def check_saved_key(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """Try a saved key."""
    key = get_object_or_404(member_of(request).workspace.provider_keys, pk=key_id)
    used_by = key.agents.living().exclude(model="").first()
    try:
        check = check_key(
            provider=key.provider,
            secret=key.open(),
            base_url=key.base_url,
            model=used_by.model if used_by else "",
        )
    except CannotOpen:
        check = _unreadable()
    if check.ok:
        key_health.key_works(key_id=key.pk)
    return _answer(request, {"check": check, "key": key})


def _check(form: ModelForm) -> KeyCheck:
    form.is_valid()
    if wrong := form.errors.get("base_url"):
        return _without_asking(str(wrong[0]))
    try:
        key = form.to_check()
    except CannotOpen:
        return _unreadable()
    if key is None:
        return _without_asking(_("Paste a key first, then check it."))
    check = check_key(provider=key.provider, secret=key.secret, base_url=key.base_url, model=key.model)
    if check.ok and (saved := form.cleaned_data["saved_key"]):
        key_health.key_works(key_id=saved.pk)
    return check


def _unreadable() -> KeyCheck:
    return _without_asking(_("This key can't be read any more. Paste it again."))


def _without_asking(detail: str) -> KeyCheck:
    return KeyCheck(ok=False, problem="wrong_key", detail=detail, models=[])


def _answer(request: HttpRequest, context: dict[str, object]) -> HttpResponse:
    # Without a script, the answer is a page of its own.
    in_place = request.headers.get("hx-request") == "true"
    return render(request, "llm/_key_check.html" if in_place else "llm/key_check.html", context)
