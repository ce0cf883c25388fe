"""The Celery application: what runs beside requests, and when."""

import os

from celery import Celery
from celery.schedules import crontab

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vutler.settings")

app = Celery("vutler")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "adopt-journals": {"task": "metering.tasks.adopt_journals", "schedule": 60.0},
    "roll-up": {"task": "metering.tasks.roll_up", "schedule": 60.0},
    "forget-alerts": {"task": "metering.tasks.forget_alerts", "schedule": crontab(hour="3", minute="41")},
    "close-months": {"task": "billing.tasks.close_months", "schedule": crontab(hour="0", minute="20")},
    "issue-waiting": {"task": "billing.tasks.issue_waiting", "schedule": crontab(minute="35")},
    "settle-invoices": {"task": "billing.tasks.settle_invoices", "schedule": 300.0},
    "hear-stripe": {"task": "billing.tasks.hear_waiting", "schedule": 60.0},
    "review-owing": {"task": "billing.tasks.review_owing", "schedule": crontab(minute="5")},
    "make-room": {"task": "custody.tasks.make_room", "schedule": crontab(hour="1", minute="43")},
    "forget-old": {"task": "custody.tasks.forget_old", "schedule": crontab(hour="2", minute="23")},
    "erase-closed": {"task": "custody.tasks.erase_closed", "schedule": crontab(hour="2", minute="53")},
    "forget-expired": {"task": "agents.tasks.forget_expired", "schedule": crontab(hour="3", minute="17")},
    "tell-of-refused-keys": {"task": "llm.tasks.tell_of_refused_keys", "schedule": 60.0},
    "watch-for-abuse": {"task": "llm.tasks.watch_for_abuse", "schedule": 300.0},
    "look-at-experiments": {"task": "llm.tasks.look_at_experiments", "schedule": crontab(minute="50")},
    "forget-idempotency-keys": {"task": "llm.tasks.forget_idempotency_keys", "schedule": crontab(minute="29")},
}
