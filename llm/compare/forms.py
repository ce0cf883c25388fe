"""What people fill in to compare: in whose name, what, with which prompts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from agents.forms.agents import key_label
from agents.models import Agent, ProviderKey
from agents.plans import plans
from llm.compare import prompts, services
from llm.compare.columns import FEWEST, MOST, Column, offered_models
from llm.models import LETTERS, Comparison, PromptSet, dearer
from llm.requests import LONGEST_MODEL_NAME

ONE, LIST, FILE, SAVED = "one", "list", "file", "saved"


class CompareForm(forms.Form):
    """A comparison in the name of ``agent``: of models of the workspace's keys, or of plans where it is on one."""

    source = forms.ChoiceField(
        label=gettext_lazy("What to ask"),
        choices=[(ONE, gettext_lazy("One prompt")), (LIST, gettext_lazy("A list")), (FILE, gettext_lazy("A CSV file"))],
        initial=ONE,
        widget=forms.RadioSelect,
    )
    prompt = forms.CharField(
        label=gettext_lazy("Prompt"),
        required=False,
        max_length=prompts.MOST * (prompts.LONGEST + 2),
        strip=False,
        widget=forms.Textarea(attrs={"rows": 7, "spellcheck": "true"}),
    )
    file = forms.FileField(
        label=gettext_lazy("CSV file"),
        required=False,
        help_text=gettext_lazy("A column named “prompt”, or else the first one. At most 200 rows."),
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    saved = forms.ModelChoiceField(
        label=gettext_lazy("Saved prompts"), queryset=PromptSet.objects.none(), required=False, empty_label=None
    )
    save_as = forms.CharField(
        label=gettext_lazy("Save these prompts as"),
        required=False,
        max_length=80,
        help_text=gettext_lazy("Left empty, they aren't saved."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    blind = forms.BooleanField(label=gettext_lazy("Hide the names until I have voted"), required=False)
    keep = forms.BooleanField(label=gettext_lazy("Keep this run, with its prompts and answers"), required=False)

    def __init__(self, data: Any = None, files: Any = None, *, agent: Agent, at: datetime, **options: Any) -> None:
        super().__init__(data, files, **options)
        self.agent = agent
        self.tier = agent.tier_at(at)
        self._at = at
        self._offered = [] if self.tier else offered_models(agent)
        saved = agent.workspace.prompt_sets.all()
        self.fields["saved"].queryset = saved  # type: ignore[attr-defined]
        if saved:
            self.fields["source"].choices += [(SAVED, gettext_lazy("Saved prompts"))]  # type: ignore[attr-defined]
        if self.tier:
            self._add_plans(self.tier)
        else:
            self._add_models()

    @property
    def comparable(self) -> bool:
        """Whether there is anything to compare: a plan, or a saved key."""
        return bool(self.tier or self._offered)

    @property
    def tries(self) -> int:
        """How many answers of plans above its own the agent may still have this month."""
        return services.tries_left(self.agent, at=self._at)

    @property
    def above(self) -> bool:
        """Whether there are plans above the agent's own."""
        return bool(self.tier and any(dearer(each.tier, than=self.tier) for each in plans(on=self._at.date())))

    @property
    def pickers(self) -> list[tuple[Any, Any]]:
        """The choice of each column's model, with the field for one that isn't listed."""
        return [(self[f"column_{number}"], self[f"model_{number}"]) for number in range(1, MOST + 1)]

    def _add_plans(self, own: str) -> None:
        offered, yours = plans(on=self._at.date()), _("your plan")
        self.fields["plans"] = forms.MultipleChoiceField(
            label=_("Plans"),
            choices=[(each.tier, f"{each.name} ({yours})" if each.tier == own else each.name) for each in offered],
            initial=[each.tier for each in offered],
            widget=forms.CheckboxSelectMultiple,
        )

    def _add_models(self) -> None:
        suggested = self._suggested()
        for number in range(1, MOST + 1):
            choices: list[Any] = [] if number <= FEWEST else [("", _("None"))]
            choices += [
                (f"{key.provider_name} · {key_label(key)}", self._models(key, models)) for key, models in self._offered
            ]
            self.fields[f"column_{number}"] = forms.ChoiceField(
                label=_("Model %(letter)s") % {"letter": LETTERS[number - 1]},
                choices=choices,
                required=number <= FEWEST,
                initial=suggested[number - 1] if number <= len(suggested) else "",
            )
            self.fields[f"model_{number}"] = forms.CharField(
                label=_("Name of model %(letter)s") % {"letter": LETTERS[number - 1]},
                required=False,
                max_length=LONGEST_MODEL_NAME,
                widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
            )

    def _models(self, key: ProviderKey, models: Sequence[str]) -> list[tuple[str, str]]:
        return [*((f"{key.pk}:{model}", model) for model in models), (f"{key.pk}:", _("Another model…"))]

    def _suggested(self) -> list[str]:
        """Return the agent's own model, and another one to hold it against."""
        known = [f"{key.pk}:{model}" for key, models in self._offered for model in models]
        own = f"{self.agent.provider_key_id}:{self.agent.model}"
        if own in known:
            known.remove(own)
            known.insert(0, own)
        return known[:FEWEST]

    def clean(self) -> dict[str, Any]:
        """Settle on the columns and the prompts."""
        given = super().clean() or {}
        given["columns"] = self._columns(given)
        if not self.errors.keys() & {"source", "prompt", "file", "saved"}:
            given["prompts"] = self._prompts(given)
        self._check_tries(given)
        return given

    def _columns(self, given: dict[str, Any]) -> list[Column]:
        chosen = self._plans(given) if self.tier else self._keys(given)
        if len(chosen) != len(set(chosen)):
            self.add_error(None, _("The same model is there twice. Choose different ones."))
        elif len(chosen) < FEWEST and not self.errors:
            self.add_error(None, _("Choose at least two to compare."))
        return chosen

    def _plans(self, given: dict[str, Any]) -> list[Column]:
        return [Column.of_plan(tier, at=self._at) for tier in given.get("plans", ())]

    def _keys(self, given: dict[str, Any]) -> list[Column]:
        keys = {str(key.pk): key for key, _models in self._offered}
        found = []
        for number in range(1, MOST + 1):
            key_id, _colon, model = given.get(f"column_{number}", "").partition(":")
            if not key_id:
                continue
            model = model or given.get(f"model_{number}", "").strip()
            if not model or not model.isascii() or not model.isprintable():
                self.add_error(f"model_{number}", _("Type the name of the model."))
                continue
            found.append(Column.of_key(keys[key_id], model))
        return found

    def _prompts(self, given: dict[str, Any]) -> list[str]:
        field = {FILE: "file", SAVED: "saved"}.get(given["source"], "prompt")
        try:
            return self._read(given, given["source"])
        except prompts.BadPrompts as error:
            self.add_error(field, str(error))
            return []

    def _read(self, given: dict[str, Any], source: str) -> list[str]:
        if source == FILE:
            if not given.get("file"):
                raise prompts.BadPrompts(_("Choose a file first."))
            return prompts.rows(given["file"].read(prompts.LARGEST_FILE + 1))
        if source == SAVED:
            if not given.get("saved"):
                raise prompts.BadPrompts(_("Choose what to ask."))
            return list(given["saved"].prompts)
        return prompts.one(given["prompt"]) if source == ONE else prompts.lines(given["prompt"])

    def _check_tries(self, given: dict[str, Any]) -> None:
        """Say before it begins that a month's tries of other plans don't suffice, rather than in the midst of it."""
        higher = sum(services.needs_try(column, own=self.tier) for column in given["columns"])
        wanted, left = higher * len(given.get("prompts", ())), self.tries
        if wanted > left:
            said = ngettext(
                "This month you can see %(left)d more answer of plans above yours, and this would take %(wanted)d.",
                "This month you can see %(left)d more answers of plans above yours, and this would take %(wanted)d.",
                left,
            )
            self.add_error(None, said % {"left": left, "wanted": wanted})

    def begin(self) -> Comparison:
        """Open the comparison, and save the prompts where that was asked for."""
        given = self.cleaned_data
        if given["save_as"]:
            services.save_prompts(workspace=self.agent.workspace, name=given["save_as"], prompts=given["prompts"])
        return services.begin(
            agent=self.agent,
            columns=given["columns"],
            prompts=given["prompts"],
            blind=given["blind"],
            keep=given["keep"],
            at=self._at,
        )


class AskForm(forms.Form):
    """One prompt of a comparison that is under way."""

    number = forms.IntegerField(min_value=0)
    prompt = forms.CharField(max_length=prompts.LONGEST, strip=False)


class VoteForm(forms.Form):
    """A thumb for an answer, by its place on the page."""

    number = forms.IntegerField(min_value=0)
    place = forms.IntegerField(min_value=0, max_value=MOST - 1)
    thumb = forms.TypedChoiceField(choices=[(each, str(each)) for each in (-1, 0, 1)], coerce=int)


def agent_of(agents: Sequence[Agent], asked: str, *, at: datetime) -> Agent | None:
    """Return the agent that was asked for, or else the first that could answer; None where there are none."""
    found = next((each for each in agents if str(each.pk) == asked), None)
    ready = next((each for each in agents if each.provider_key_id or each.tier_at(at)), None)
    return found or ready or next(iter(agents), None)
