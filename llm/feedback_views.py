"""What people think of answers, where an agent's requests are listed."""

from typing import Final
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from agents.access import manages_agents, member_of
from llm import feedback
from metering.models import UsageRecord
from metering.store import StoreUnavailable

TAKEN_BACK: Final = "none"


@never_cache
@require_POST
@manages_agents
def thumb(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Take a thumb for an answer that one of the workspace's agents got, or take one back."""
    given = request.POST.get("thumb")
    if given != TAKEN_BACK and given not in feedback.THUMBS:
        return HttpResponse(status=400)
    try:
        record = _request_of(request, request_id)
    except StoreUnavailable:
        return render(request, "metering/away.html", status=503)
    score = feedback.THUMBS.get(given)
    if score is None:
        feedback.take_back(record)
    else:
        feedback.keep(record, score=score, at=timezone.now())
    if request.headers.get("hx-request") == "true":
        context = {"record": record, "score": score, "back": request.POST.get("next")}
        return render(request, "llm/thumbs.html", context)
    return redirect(_back(request, record))


def _request_of(request: HttpRequest, request_id: UUID) -> UsageRecord:
    found = feedback.request_of(request_id)
    if found is None or found.workspace_id != member_of(request).workspace_id:
        raise Http404
    return found


def _back(request: HttpRequest, record: UsageRecord) -> str:
    """Return where somebody without a script came from, at the answer they were at."""
    asked = request.POST.get("next", "")
    page = asked if url_has_allowed_host_and_scheme(asked, allowed_hosts=None) else f"/usage/{record.agent_id}/"
    return f"{page}#thumbs-{record.pk}"
