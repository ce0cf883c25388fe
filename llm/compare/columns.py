"""What is compared: the models of saved keys, or plans. As it is kept, offered, named, and asked."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Self

import msgspec

from agents.catalogue import providers
from agents.models import Agent, ProviderKey
from agents.plans import plan
from llm.snapshot import AgentSnapshot, CannotOverride, Override, in_place_of

FEWEST: Final = 2
MOST: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A model at a saved key, or a plan (``tier``). ``name`` and ``where`` are what people read."""

    name: str
    where: str = ""
    key_id: str = ""
    model: str = ""
    tier: str = ""

    @classmethod
    def of_key(cls, key: ProviderKey, model: str) -> Self:
        """Return a model at a key."""
        label = key.name or key.hint or key.base_url
        return cls(name=model, where=f"{key.provider_name} · {label}", key_id=str(key.pk), model=model)

    @classmethod
    def of_plan(cls, tier: str, *, at: datetime) -> Self:
        """Return a plan."""
        return cls(name=plan(tier, on=at.date()).name, tier=tier)

    @classmethod
    def kept(cls, columns: Sequence[dict[str, Any]]) -> list[Self]:
        """Return columns as they were kept."""
        return [cls(**column) for column in columns]

    def to_keep(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return asdict(self)

    @property
    def arm(self) -> str:
        """What an experiment's page calls it in its address."""
        return f"{self.tier or self.key_id}:{self.model}"

    def answering(self, here: AgentSnapshot, agent: Agent) -> AgentSnapshot | None:
        """Return ``agent`` (``here``, as the gateway knows it) as this column would answer; None if it can't any more.

        It can't once its key was deleted, or once the agent has moved between plans and keys.
        """
        key = ProviderKey.objects.filter(pk=self.key_id).first() if self.key_id else None
        if not (key or self.tier):
            return None
        try:
            found = in_place_of(here, agent, Override(key=key, model=self.model, tier=self.tier))
        except CannotOverride:
            return None
        # What is compared is this model: where it fails, nobody else's answer stands for it.
        return msgspec.structs.replace(found, backup=None)


def offered_models(agent: Agent) -> list[tuple[ProviderKey, list[str]]]:
    """Return the workspace's saved keys, each with the models that we know by name or that its agents use."""
    found = []
    for key in agent.workspace.provider_keys.all():
        known = providers().get(key.provider)
        used = key.agents.living().exclude(model="").values_list("model", flat=True)
        found.append((key, list(dict.fromkeys([*(known.models if known else ()), *used]))))
    return found
