"""What people type about alerts."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.crypto import Secret
from agents.models import Agent, User, Workspace
from metering import alerts
from metering.alerting import services
from metering.alerts import Rule
from metering.models import Alert, Shape

ALL_AGENTS: Final = ""
SHARE: Final = "share"
# What is watched, as people choose it: metric and unit in one.
WATCHED: Final = {
    SHARE: (alerts.TOKENS, alerts.PERCENT),
    alerts.TOKENS: (alerts.TOKENS, alerts.ABSOLUTE),
    alerts.PRICE: (alerts.PRICE, alerts.ABSOLUTE),
    alerts.COST: (alerts.COST, alerts.ABSOLUTE),
    alerts.ERROR_RATE: (alerts.ERROR_RATE, alerts.PERCENT),
}
ON_PLANS: Final = {SHARE, alerts.PRICE}
ON_OWN_KEYS: Final = {alerts.COST}
LABELS: Final[dict[str, Any]] = {
    SHARE: gettext_lazy("Share of the plan"),
    alerts.TOKENS: gettext_lazy("Tokens used"),
    alerts.PRICE: gettext_lazy("Cost at list price"),
    alerts.COST: gettext_lazy("Cost at your own provider"),
    alerts.ERROR_RATE: gettext_lazy("Requests that fail"),
}
WINDOWS: Final[dict[int, Any]] = {
    1: gettext_lazy("1 hour"),
    6: gettext_lazy("6 hours"),
    24: gettext_lazy("24 hours"),
    72: gettext_lazy("3 days"),
    168: gettext_lazy("7 days"),
}
NUMBER: Final = {"inputmode": "decimal", "autocomplete": "off"}


class AlertForm(forms.Form):
    """What to watch, from when on to tell, and where."""

    agent_id = forms.ChoiceField(label=gettext_lazy("Agent"), required=False)
    watched = forms.ChoiceField(label=gettext_lazy("What to watch"))
    threshold = forms.DecimalField(
        label=gettext_lazy("When it reaches"), max_digits=15, decimal_places=2, widget=forms.NumberInput(attrs=NUMBER)
    )
    window_hours = forms.TypedChoiceField(
        label=gettext_lazy("Within the last"), choices=list(WINDOWS.items()), coerce=int, required=False
    )
    minimum_requests = forms.IntegerField(
        label=gettext_lazy("With at least so many requests"),
        min_value=1,
        required=False,
        widget=forms.NumberInput(attrs=NUMBER),
        help_text=gettext_lazy("So that one failure in a quiet night wakes nobody."),
    )
    by_email = forms.BooleanField(label=gettext_lazy("By e-mail"), required=False)
    on_page = forms.BooleanField(label=gettext_lazy("On the pages here"), required=False)
    by_webhook = forms.BooleanField(label=gettext_lazy("In a chat, or to a program of yours"), required=False)
    shape = forms.ChoiceField(label=gettext_lazy("Where to"), required=False)
    webhook_url = forms.CharField(
        label=gettext_lazy("Webhook address"),
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false", "autocomplete": "off"}),
    )

    def __init__(self, data: Any = None, *, workspace: Workspace, alert: Alert | None = None) -> None:
        agents = list(workspace.agents.living().order_by("name").prefetch_related("stays"))
        super().__init__(data, initial=_initial(alert) if alert else _first_wish(agents))
        self.workspace, self.alert = workspace, alert
        choices = [(ALL_AGENTS, _("All agents together")), *((str(each.pk), each.name) for each in agents)]
        if alert and alert.agent_id and alert.agent_id not in {each.pk for each in agents}:
            choices.append((str(alert.agent_id), _("(deleted)")))
        self._choose("agent_id", choices)
        kept = self.initial["watched"] if alert else None
        self._choose("watched", [(name, LABELS[name]) for name in WATCHED if name == kept or _fits(name, agents)])
        self._choose("shape", Shape.choices)
        if alert and alert.webhook_host:
            self.fields["webhook_url"].help_text = _(
                "Saved: an address at %(host)s, which isn't shown again. Empty to keep it."
            ) % {"host": alert.webhook_host}

    def save(self, *, by: User) -> tuple[Alert, Secret | None] | None:
        """Set the alert up or change it; return None, and say why in the form, where the services refuse it."""
        wish = self._wish()
        try:
            if self.alert is None:
                return services.create_alert(workspace=self.workspace, wish=wish, by=by)
            secret = services.change_alert(alert=self.alert, workspace=self.workspace, wish=wish, by=by)
        except ValidationError as error:
            self._say(error)
            return None
        return self.alert, secret

    def _wish(self) -> services.Wish:
        given = self.cleaned_data
        metric, unit = WATCHED[given["watched"]]
        rule = Rule(
            metric=metric,
            unit=unit,
            threshold=given["threshold"],
            agent_id=UUID(given["agent_id"]) if given["agent_id"] else None,
            window_hours=given["window_hours"] or alerts.WINDOW_HOURS,
            minimum_requests=given["minimum_requests"] or alerts.MINIMUM_REQUESTS,
        )
        return services.Wish(
            rule=rule,
            by_email=given["by_email"],
            on_page=given["on_page"],
            by_webhook=given["by_webhook"],
            shape=given["shape"] or Shape.OURS,
            webhook_url=Secret(given["webhook_url"]) if given["webhook_url"] else None,
        )

    def _choose(self, name: str, choices: list[tuple[str, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
        field.choices = choices

    def _say(self, error: ValidationError) -> None:
        names = {"agent": "agent_id", "unit": "watched", "channels": None}
        if not hasattr(error, "error_dict"):
            self.add_error(None, error)
            return
        for name, errors in error.error_dict.items():
            self.add_error(names.get(name, name), errors)


def _initial(alert: Alert) -> dict[str, Any]:
    whole = alert.threshold == int(alert.threshold)
    return {
        "agent_id": str(alert.agent_id or ALL_AGENTS),
        "watched": next(name for name, pair in WATCHED.items() if pair == (alert.metric, alert.unit)),
        "threshold": int(alert.threshold) if whole else alert.threshold,
        "window_hours": alert.window_hours,
        "minimum_requests": alert.minimum_requests,
        "by_email": alert.by_email,
        "on_page": alert.on_page,
        "by_webhook": bool(alert.webhook_host),
        "shape": alert.shape,
    }


def _first_wish(agents: Sequence[Agent]) -> dict[str, Any]:
    """Return what most people want: to hear of 90% of a plan, by e-mail and here."""
    watched, threshold = (SHARE, Decimal(90)) if _fits(SHARE, agents) else (alerts.COST, Decimal(50))
    only = str(agents[0].pk) if len(agents) == 1 else ALL_AGENTS
    return {
        "agent_id": only,
        "watched": watched,
        "threshold": threshold,
        "window_hours": alerts.WINDOW_HOURS,
        "minimum_requests": alerts.MINIMUM_REQUESTS,
        "by_email": True,
        "on_page": True,
        "shape": Shape.OURS,
    }


def _fits(name: str, agents: Sequence[Agent]) -> bool:
    """Tell whether there is anything to watch like this: who is on plans alone has no provider of their own."""
    modes = {agent.tier is not None for agent in agents}
    if name in ON_PLANS:
        return True in modes
    return name not in ON_OWN_KEYS or False in modes or not modes
