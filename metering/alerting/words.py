"""Alerts in words: what is watched, what has been reached, what became of a delivery. In the active language."""

from typing import Any, Final
from uuid import UUID

import msgspec
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.models import Agent
from metering import alerts
from metering.alerts import Facts
from metering.models import Alert, Delivery, Occasion

OUTCOMES: Final[dict[str, Any]] = {
    alerts.ANSWERED: gettext_lazy("The server answered %(status)s."),
    alerts.REDIRECTED: gettext_lazy(
        "The server sent us on to another address (%(status)s), where we don't go. Give the address that it ends at."
    ),
    alerts.TOO_SLOW: gettext_lazy("The server took too long to answer."),
    alerts.UNREACHABLE: gettext_lazy("The server can't be reached."),
    alerts.ADDRESS_REFUSED: gettext_lazy("The address can't be found, or leads into a private network."),
    alerts.NOT_MAILED: gettext_lazy("The e-mail couldn't be sent."),
    alerts.BROKEN_OFF: gettext_lazy("Sending it was broken off again and again."),
    alerts.NOBODY: gettext_lazy("There is nobody to write to."),
    alerts.LOST: gettext_lazy("The webhook is gone. Give its address again."),
}


def facts_of(occasion: Occasion) -> Facts:
    """Return what was reached."""
    return msgspec.convert(occasion.facts, Facts, strict=False)


def headline(facts: Facts) -> str:
    """Return what has happened, as one line without line breaks: "Helpdesk has used 80% of this month’s plan"."""
    return _line("metering/alerts/_headline.txt", facts=facts)


def detail(facts: Facts) -> str:
    """Return what was asked for, and, of errors, how many there were."""
    return _line("metering/alerts/_detail.txt", facts=facts)


def title(alert: Alert, agent_name: str) -> str:
    """Return what is watched: "Helpdesk: 80% of its plan"."""
    return _line("metering/alerts/_title.txt", alert=alert, agent_name=agent_name)


def text(facts: Facts) -> str:
    """Return headline and detail, marked if it is only a test."""
    return _marked(f"{headline(facts)}. {detail(facts)}", facts)


def subject(facts: Facts) -> str:
    """Return the headline, marked if it is only a test."""
    return _marked(headline(facts), facts)


def outcome(delivery: Delivery) -> str:
    """Return what came of the last attempt to deliver; nothing where it arrived or wasn't tried yet."""
    said = OUTCOMES.get(delivery.outcome)
    return str(said) % {"status": delivery.status} if said else ""


def page_of(alert: Alert) -> str:
    """Return the address of the alert's page."""
    return settings.SITE_URL + reverse("metering:alert", args=[alert.pk])


def agent_name(agent_id: UUID | None) -> str:
    """Return how an agent is called; empty for none, or one that is gone."""
    return Agent.objects.filter(pk=agent_id).values_list("name", flat=True).first() or "" if agent_id else ""


def _marked(said: str, facts: Facts) -> str:
    return f"[{_('Test')}] {said}" if facts.test else said


def _line(template: str, **context: Any) -> str:
    return " ".join(render_to_string(template, context).split())
