"""What people type about experiments."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.models import Agent, ProviderKey, User
from agents.plans import TIERS, plan
from llm.experiments import services
from llm.experiments.services import ARMS_AT_LEAST, ARMS_AT_MOST, HEAVIEST, LONGEST_INSTRUCTIONS, Side
from llm.models import LETTERS, Experiment, Goal, dearer

GOALS: Final[dict[str, Any]] = {
    Goal.COST: gettext_lazy("Spend less"),
    Goal.SPEED: gettext_lazy("Answer faster"),
    Goal.SUCCESS: gettext_lazy("Fail less often"),
    Goal.FEEDBACK: gettext_lazy("Please people more"),
}


class ExperimentForm(forms.Form):
    """What is to get better, and the sides."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80, required=False)
    goal = forms.ChoiceField(
        label=gettext_lazy("What is to get better?"),
        choices=list(GOALS.items()),
        widget=forms.RadioSelect,
        initial=Goal.COST,
    )


class SideForm(forms.Form):
    """One side: a key and a model, or a plan; an addition to the system prompt; a share."""

    key = forms.ChoiceField(label=gettext_lazy("Key"), required=False)
    model = forms.CharField(
        label=gettext_lazy("Model"),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off", "autocapitalize": "off"}),
        help_text=gettext_lazy("Empty: as your program asks now."),
    )
    tier = forms.ChoiceField(label=gettext_lazy("Plan"), required=False)
    weight = forms.IntegerField(label=gettext_lazy("Share"), min_value=1, max_value=HEAVIEST, initial=1)
    instructions = forms.CharField(
        label=gettext_lazy("Add to the system prompt"),
        max_length=LONGEST_INSTRUCTIONS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, data: Any, *, position: int, sides: "Sides") -> None:
        super().__init__(data, prefix=f"side{position}", initial=sides.given(position))
        self.letter = LETTERS[position]
        self.position = position
        self.first = position == 0
        if sides.tier:
            del self.fields["key"], self.fields["model"]
            self.fields["tier"] = _choices(gettext_lazy("Plan"), sides.plans())
        else:
            del self.fields["tier"]
            self.fields["key"] = _choices(gettext_lazy("Key"), sides.keys())
            self.order_fields(["key", "model", "weight", "instructions"])

    @property
    def used(self) -> bool:
        """Whether somebody has said what this side is."""
        return any(self.cleaned_data.get(name) for name in ("key", "model", "tier", "instructions"))


class Sides:
    """The sides of a new experiment on an agent, and what each may be."""

    def __init__(self, data: Any, *, agent: Agent, at: datetime, given: Sequence[str] = ()) -> None:
        """Begin with what is ``given``: ``<key id or tier>:<model>`` a side, as a comparison hands it over."""
        self.agent, self.at, self.tier = agent, at, agent.tier_at(at)
        self._given = [_of_text(text) for text in given]
        self._saved = {str(key.pk): key for key in agent.workspace.provider_keys.all()}
        self.forms = [SideForm(data, position=position, sides=self) for position in range(ARMS_AT_MOST)]

    def given(self, position: int) -> dict[str, str]:
        """Return what a side begins with."""
        if position >= len(self._given):
            return {}
        what, model = self._given[position]
        # The agent's own key and plan are what "as now" means.
        own = what in {str(self.agent.provider_key_id), self.tier}
        return {"tier" if self.tier else "key": "" if own else what, "model": model}

    def plans(self) -> list[tuple[str, str]]:
        """Return the plans that a side may be: the agent's own, which is as now, and smaller ones."""
        on = self.at.date()
        own = self.tier or TIERS[0]
        smaller = [tier for tier in TIERS if dearer(own, than=tier)]
        now = _("%(plan)s, as now") % {"plan": plan(own, on=on).name}
        return [("", now), *((tier, plan(tier, on=on).name) for tier in reversed(smaller))]

    def keys(self) -> list[tuple[str, str]]:
        """Return the keys that a side may use: the agent's own, which is as now, and the other saved ones."""
        own = str(self.agent.provider_key_id)
        others = [(pk, _label(key)) for pk, key in self._saved.items() if pk != own]
        now = self._saved.get(own)
        return [("", _("%(key)s, as now") % {"key": _label(now)} if now else _("as now")), *others]

    def is_valid(self) -> bool:
        """Tell whether all sides can be read."""
        return all(form.is_valid() for form in self.forms)

    def wanted(self) -> list[Side]:
        """Return the first two sides, and the others if somebody has said what they are."""
        return [self._side(form) for form in self.forms if form.position < ARMS_AT_LEAST or form.used]

    def _side(self, form: SideForm) -> Side:
        given = form.cleaned_data
        return Side(
            weight=given["weight"],
            key=self._saved.get(given.get("key", "")),
            model=given.get("model", "").strip(),
            tier=given.get("tier", ""),
            instructions=given["instructions"].strip(),
        )


def begin(form: ExperimentForm, sides: Sides, *, by: User, at: datetime) -> Experiment | None:
    """Start the experiment; return None, and say why in the form, where the services refuse it."""
    try:
        return services.start(
            agent=sides.agent,
            name=form.cleaned_data["name"],
            goal=form.cleaned_data["goal"],
            sides=sides.wanted(),
            by=by,
            at=at,
        )
    except ValidationError as error:
        form.add_error(None, error.messages)
        return None


def _choices(label: Any, choices: list[tuple[str, str]]) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=choices, required=False)


def _of_text(text: str) -> tuple[str, str]:
    """Read ``<key id or tier>:<model>``."""
    what, _colon, model = text.partition(":")
    try:
        return str(UUID(what)), model[:200]
    except ValueError:
        return what if what in TIERS else "", model[:200]


def _label(key: ProviderKey) -> str:
    return f"{key.provider_name} {key.name or key.hint}".strip()
