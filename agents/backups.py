"""An agent's backup: a second key of its owner's, asked only where the provider of the first one fails."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from agents.changes import Actor, announce, audit
from agents.models import Agent, ProviderKey


@transaction.atomic
def set_backup(*, agent: Agent, key: ProviderKey, by: Actor, model: str = "") -> None:
    """Name the key that is asked where the agent's own fails, and the model to ask for.

    Without a model it is asked for the one that the request names, which only the same provider knows.

    Raises:
        ValidationError: when the key is another workspace's or the agent's first one already, or a model is missing.
    """
    if key.workspace_id != agent.workspace_id:
        raise ValidationError({"backup_key": _("There is no such key.")})
    if key.pk == agent.provider_key_id:
        raise ValidationError({"backup_key": _("The agent runs on this key already. Choose another as its backup.")})
    if key.provider != agent.provider and not model:
        message = _("Name a model that %(provider)s has.") % {"provider": key.provider_name}
        raise ValidationError({"backup_model": message})
    if (agent.backup_key_id, agent.backup_model) == (key.pk, model):
        return
    agent.backup_key, agent.backup_model = key, model
    agent.save(update_fields=["backup_key", "backup_model"])
    audit(workspace=agent.workspace, by=by, action="backup.chosen", target=agent, key=str(key), model=model)
    announce([agent.pk])


@transaction.atomic
def drop_backup(*, agent: Agent, by: Actor) -> None:
    """Leave the agent without a backup; the key itself stays saved."""
    if agent.backup_key is None:
        return
    audit(workspace=agent.workspace, by=by, action="backup.dropped", target=agent, key=str(agent.backup_key))
    agent.backup_key, agent.backup_model = None, ""
    agent.save(update_fields=["backup_key", "backup_model"])
    announce([agent.pk])
