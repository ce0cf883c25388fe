"""Brings what alerts have to tell to where it is told: at least once, with a growing wait between attempts."""

import json
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import msgspec
import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import F, Q
from django.template.loader import render_to_string
from django.utils import translation

from agents.crypto import CannotOpen
from agents.mail import letter
from agents.models import Role, User
from metering import alerts, webhooks
from metering.alerting import posting, watching, words
from metering.alerting.services import webhook_of
from metering.alerts import Tried
from metering.models import Alert, Channel, Delivery, Occasion

# Longer than an attempt can take: what is still not settled then was lost with its process, and is tried again.
CLAIMED_FOR: Final = timedelta(minutes=5)
AT_ONCE: Final = 1_000
TESTS_AN_HOUR: Final = 20

log = structlog.get_logger(__name__)


class TooManyTests(Exception):
    """The workspace has tried its alerts out so often that it has to wait."""


def due(*, at: datetime) -> list[UUID]:
    """Return the deliveries that are to be tried now, the longest overdue first."""
    waiting = Delivery.objects.filter(state=Delivery.State.WAITING, due_at__lte=at)
    return list(waiting.order_by("due_at").values_list("pk", flat=True)[:AT_ONCE])


def deliver(*, delivery_id: UUID, at: datetime) -> None:
    """Try a delivery, unless somebody else does at this moment or it has come to an end."""
    if not _claim(delivery_id, at=at):
        return
    delivery = Delivery.objects.select_related("occasion__alert").get(pk=delivery_id)
    _settle(delivery, _try(delivery, at=at), at=at)


def test(*, alert: Alert, channel: str, at: datetime) -> Delivery:
    """Send a sample, marked as a test, to one of the alert's channels at once and only once; return how it went.

    Raises:
        TooManyTests: when the workspace has done so too often within the hour.
    """
    lately = Q(occasion__test=True, workspace_id=alert.workspace_id, created_at__gt=at - timedelta(hours=1))
    if Delivery.objects.filter(lately).count() >= TESTS_AN_HOUR:
        raise TooManyTests
    told = alerts.facts(alert.rule, alerts.sample(alert.rule), agent_name=words.agent_name(alert.agent_id), test=True)
    with transaction.atomic(using=settings.METER_DATABASE):
        occasion = Occasion.objects.create(
            alert=alert, mark=f"test/{uuid4()}", period="test", facts=msgspec.to_builtins(told), test=True, at=at
        )
        delivery = watching.delivery_of(occasion, channel, alert=alert)
        delivery.save()
    if delivery.state == Delivery.State.WAITING and _claim(delivery.pk, at=at):
        delivery.attempts = 1
        _settle(delivery, _try(delivery, at=at), at=at)
    return delivery


def _claim(delivery_id: UUID, *, at: datetime) -> bool:
    waiting = Delivery.objects.filter(pk=delivery_id, state=Delivery.State.WAITING, due_at__lte=at)
    return waiting.update(due_at=at + CLAIMED_FOR, attempts=F("attempts") + 1) == 1


def _settle(delivery: Delivery, tried: Tried, *, at: datetime) -> None:
    delivery.outcome, delivery.status = tried.outcome, tried.status
    wait = alerts.next_wait(delivery.attempts) if tried.may_pass and not delivery.occasion.test else None
    if tried.delivered:
        delivery.state, delivery.finished_at = Delivery.State.DELIVERED, at
    elif wait is None:
        delivery.state, delivery.finished_at = Delivery.State.FAILED, at
        log.warning("alert_not_delivered", delivery=str(delivery.pk), outcome=tried.outcome, status=tried.status)
    else:
        delivery.due_at = at + wait
    delivery.save(update_fields=["outcome", "status", "state", "finished_at", "due_at"])


def _try(delivery: Delivery, *, at: datetime) -> Tried:
    if delivery.attempts > alerts.ATTEMPTS_AT_MOST:
        # Whoever tries it doesn't come to settle it: maybe it is what ends them.
        return Tried(outcome=alerts.BROKEN_OFF)
    if delivery.channel == Channel.EMAIL:
        return _mail(delivery)
    return _post(delivery, at=at)


# --- by webhook ----------------------------------------------------------------------------------


def _post(delivery: Delivery, *, at: datetime) -> Tried:
    alert = delivery.occasion.alert
    if not alert.webhook_host:  # taken away since
        return Tried(outcome=alerts.LOST)
    try:
        webhook = webhook_of(alert)
    except CannotOpen:
        log.error("alert_webhook_not_opened", alert=str(alert.pk))
        return Tried(outcome=alerts.LOST)
    body = _body(delivery, alert)
    headers = webhooks.headers(
        delivery_id=str(delivery.pk), timestamp=int(at.timestamp()), body=body, secret=webhook.secret.reveal()
    )
    return posting.post(url=webhook.url.reveal(), headers=headers, body=body)


def _body(delivery: Delivery, alert: Alert) -> bytes:
    occasion = delivery.occasion
    about = {
        "id": str(delivery.pk),
        "alert": str(alert.pk),
        "workspace": str(alert.workspace_id),
        "period": occasion.period,
        "reached_at": json.loads(msgspec.json.encode(occasion.at)),
    }
    facts = words.facts_of(occasion)
    with translation.override(alert.language):
        return webhooks.body(
            shape=alert.shape, facts=facts, text=words.text(facts), url=words.page_of(alert), about=about
        )


# --- by e-mail -----------------------------------------------------------------------------------


def _mail(delivery: Delivery) -> Tried:
    people = recipients(delivery.occasion.alert)
    if not people:
        return Tried(outcome=alerts.NOBODY)
    try:
        get_connection().send_messages([_message(delivery.occasion, person) for person in people])
    except OSError as error:  # smtplib's are among them
        log.warning("alert_not_mailed", delivery=str(delivery.pk), error=type(error).__name__)
        return Tried(outcome=alerts.NOT_MAILED)
    return Tried(outcome=alerts.DELIVERED)


def recipients(alert: Alert) -> list[User]:
    """Return whom an alert is mailed to: the workspace's owners, and whoever set it up while they are a member."""
    told = Q(memberships__role=Role.OWNER) | Q(email=alert.created_by)
    mine = User.objects.filter(told, memberships__workspace=alert.workspace_id, is_active=True)
    return list(mine.distinct().order_by("pk"))


def _message(occasion: Occasion, person: User) -> EmailMultiAlternatives:
    facts = words.facts_of(occasion)
    with translation.override(person.language or settings.LANGUAGE_CODE):
        context = {"detail": words.detail(facts), "test": facts.test, "url": words.page_of(occasion.alert)}
        text = render_to_string("metering/alerts/email/alert.txt", context)
        return letter(subject=words.subject(facts), text=text, to=[person.email])
