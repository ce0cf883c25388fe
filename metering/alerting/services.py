"""Every change to alerts. Pages and the API call these; nobody else writes.

What a person got wrong is raised as Django's ``ValidationError``, by field.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from agents.changes import Actor, audit
from agents.crypto import Secret
from agents.fields import key_ring
from agents.models import Agent, User, Workspace
from metering import addresses, alerts, webhooks
from metering.alerting import posting, words
from metering.models import Alert, Delivery

ALERTS_AT_MOST: Final = 50  # in a workspace
MOST: Final = Decimal(10**12)  # tokens, USD
MOST_PERCENT: Final = 1000  # of a plan: what lies beyond it counts as well
WINDOW_AT_MOST: Final = 168  # hours: a week
REQUESTS_AT_MOST: Final = 1_000_000
ALL: Final = 100  # percent of requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An alert as somebody wants it.

    ``webhook_url`` is None to leave the webhook as it is. Given again, it gets a new signing secret.
    """

    rule: alerts.Rule
    by_email: bool
    on_page: bool
    by_webhook: bool
    shape: str = webhooks.OURS
    webhook_url: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where a webhook leads, and what it's signed with."""

    url: Secret
    secret: Secret


def create_alert(*, workspace: Workspace, wish: Wish, by: Actor) -> tuple[Alert, Secret | None]:
    """Set an alert up; return it with the secret that its webhook is signed with, if it has one.

    Raises:
        ValidationError: when it can't be watched or told like this, or there are too many.
    """
    if Alert.objects.filter(workspace_id=workspace.pk).count() >= ALERTS_AT_MOST:
        raise ValidationError(_("There can be %(most)s alerts. Delete one first.") % {"most": ALERTS_AT_MOST})
    alert = Alert(workspace_id=workspace.pk, created_by=by.email if isinstance(by, User) else "")
    return alert, _save(alert, workspace, wish, by=by, action="alert.created")


def change_alert(*, alert: Alert, workspace: Workspace, wish: Wish, by: Actor) -> Secret | None:
    """Make an alert what is wished; return the secret of its webhook if that has a new one.

    Raises:
        ValidationError: when it can't be watched or told like this.
    """
    return _save(alert, workspace, wish, by=by, action="alert.changed")


@transaction.atomic
def pause(*, alert: Alert, workspace: Workspace, by: Actor, at: datetime) -> None:
    """Tell nothing of it until it is resumed. Twice is once."""
    if Alert.objects.filter(pk=alert.pk, paused_at=None).update(paused_at=at):
        audit(workspace=workspace, by=by, action="alert.paused", target=_title(alert))


@transaction.atomic
def resume(*, alert: Alert, workspace: Workspace, by: Actor) -> None:
    """Watch it again. Twice is once."""
    if Alert.objects.filter(pk=alert.pk).exclude(paused_at=None).update(paused_at=None):
        audit(workspace=workspace, by=by, action="alert.resumed", target=_title(alert))


@transaction.atomic
def delete_alert(*, alert: Alert, workspace: Workspace, by: Actor) -> None:
    """Forget an alert, and what was told of it."""
    audit(workspace=workspace, by=by, action="alert.deleted", target=_title(alert))
    alert.delete()


def dismiss(*, delivery: Delivery, at: datetime) -> None:
    """Close a notice on the pages for everybody in the workspace."""
    Delivery.objects.filter(pk=delivery.pk, dismissed_at=None).update(dismissed_at=at)


def webhook_of(alert: Alert) -> Webhook:
    """Return the alert's webhook.

    Raises:
        CannotOpen: when the row was tampered with or its key left the ring.
    """
    kept = json.loads(key_ring().open(alert.sealed_webhook, context=alert.context).reveal())
    return Webhook(url=Secret(kept["url"]), secret=Secret(kept["secret"]))


# --- what may be wished --------------------------------------------------------------------------


def _save(alert: Alert, workspace: Workspace, wish: Wish, *, by: Actor, action: str) -> Secret | None:
    _check(alert, workspace, wish)
    rule = wish.rule
    alert.agent_id, alert.metric, alert.unit, alert.threshold = rule.agent_id, rule.metric, rule.unit, rule.threshold
    alert.window_hours, alert.minimum_requests, alert.mark = rule.window_hours, rule.minimum_requests, rule.mark
    alert.by_email, alert.on_page, alert.shape = wish.by_email, wish.on_page, wish.shape
    alert.language = get_language() or settings.LANGUAGE_CODE
    secret = _set_webhook(alert, wish)
    with transaction.atomic(using=settings.METER_DATABASE):
        alert.save()
        audit(workspace=workspace, by=by, action=action, target=_title(alert), channels=", ".join(alert.channels))
    return secret


def _set_webhook(alert: Alert, wish: Wish) -> Secret | None:
    if not wish.by_webhook:
        alert.sealed_webhook, alert.webhook_host = None, ""
        return None
    if not wish.webhook_url:
        return None
    pin = _fit(wish.webhook_url)
    secret = Secret(webhooks.new_secret())
    kept = json.dumps({"url": wish.webhook_url.reveal(), "secret": secret.reveal()})
    alert.sealed_webhook, alert.webhook_host = key_ring().seal(kept, context=alert.context), pin.host
    return secret


def _fit(url: Secret) -> addresses.Pinned:
    try:
        return posting.check(url.reveal())
    except addresses.AddressRefused as refused:
        raise ValidationError({"webhook_url": refused.message}) from None


def _check(alert: Alert, workspace: Workspace, wish: Wish) -> None:
    rule = wish.rule
    living = Agent.objects.living().filter(workspace=workspace)
    # An alert of an agent that is gone may still be changed; a new one can't be of it.
    if rule.agent_id not in {None, alert.agent_id} and not living.filter(pk=rule.agent_id).exists():
        raise ValidationError({"agent": _("There is no such agent.")})
    _check_threshold(rule)
    if not 1 <= rule.window_hours <= WINDOW_AT_MOST:
        raise ValidationError({"window_hours": _("Look back between 1 hour and a week.")})
    if not 1 <= rule.minimum_requests <= REQUESTS_AT_MOST:
        raise ValidationError(
            {"minimum_requests": _("Give a number from 1 to %(most)s.") % {"most": f"{REQUESTS_AT_MOST:,}"}}
        )
    if not (wish.by_email or wish.on_page or wish.by_webhook):
        raise ValidationError({"channels": _("Choose where you want to be told.")})
    if wish.by_webhook and not (wish.webhook_url or alert.webhook_host):
        raise ValidationError({"webhook_url": _("Give the address that we are to write to.")})


def _check_threshold(rule: alerts.Rule) -> None:
    most = MOST
    if rule.unit == alerts.PERCENT:
        most = Decimal(ALL if rule.metric == alerts.ERROR_RATE else MOST_PERCENT)
    if (rule.metric, rule.unit) not in POSSIBLE:
        raise ValidationError(
            {"unit": _("Percent are for tokens and requests that fail. Give an amount for the rest.")}
        )
    if rule.unit == alerts.PERCENT or rule.metric == alerts.TOKENS:
        if rule.threshold != int(rule.threshold):
            raise ValidationError({"threshold": _("Give a whole number.")})
    elif rule.threshold != round(rule.threshold, 2):
        raise ValidationError({"threshold": _("Give dollars and cents.")})
    if not 0 < rule.threshold <= most:
        raise ValidationError({"threshold": _("Give a number above 0, and %(most)s at most.") % {"most": f"{most:,}"}})


POSSIBLE: Final = {
    (alerts.TOKENS, alerts.PERCENT),
    (alerts.TOKENS, alerts.ABSOLUTE),
    (alerts.COST, alerts.ABSOLUTE),
    (alerts.PRICE, alerts.ABSOLUTE),
    (alerts.ERROR_RATE, alerts.PERCENT),
}


def _title(alert: Alert) -> str:
    return words.title(alert, words.agent_name(alert.agent_id))
