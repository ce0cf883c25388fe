"""The front page, and what every page remembers."""

from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from agents.models import User

THEMES = ("light", "dark")


def home(request: HttpRequest) -> HttpResponse:
    """Say what this is; who is logged in goes on to the agents."""
    if request.user.is_authenticated:
        return redirect("/agents/")
    return render(request, "front.html")


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Remember a language: in a cookie, and for the e-mails of who is logged in."""
    chosen = request.POST.get("language", "")
    if isinstance(request.user, User) and chosen in dict(settings.LANGUAGES):
        User.objects.filter(pk=request.user.pk).update(language=chosen)
    answer: HttpResponse = set_language(request)
    return answer


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember light or dark in a cookie, or forget it and follow the system."""
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    response = redirect(back if safe else "/")
    chosen = request.POST.get("theme")
    if chosen in THEMES:
        year = timedelta(days=365)
        response.set_cookie("theme", chosen, max_age=year, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax")
    else:
        response.delete_cookie("theme")
    return response
