"""One's own e-mail addresses: allauth's page, with one thing made stricter."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.views import EmailView
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from agents.models import User


class AddressView(EmailView):  # type: ignore[misc]
    """Lists, adds, verifies and removes addresses."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Do what allauth does, but use only an address that is verified and nobody else logs in with."""
        email = request.POST.get("email", "")
        if "action_primary" in request.POST and not _is_ones_own(request.user, email):
            messages.error(request, _("Verify this address first: open the link that we sent to it."))
            return redirect("account_email")
        answer: HttpResponse = super().post(request, *args, **kwargs)
        return answer


def _is_ones_own(user: Any, email: str) -> bool:
    verified = EmailAddress.objects.filter(user=user, email__iexact=email, verified=True).exists()
    return verified and not User.objects.filter(email__iexact=email).exclude(pk=user.pk).exists()


addresses = AddressView.as_view()
