"""The front page, and what every page remembers."""

from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

THEMES = ("light", "dark")


def home(request: HttpRequest) -> HttpResponse:
    """Say what this is; who is logged in goes on to the agents."""
    if request.user.is_authenticated:
        return redirect("/agents/")
    return render(request, "front.html")


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
