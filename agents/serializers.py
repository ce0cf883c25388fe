"""How agents, keys and tokens are written in the management API. What is written goes through ``agents.services``."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from agents import backups, pacing, services, subscriptions
from agents.catalogue import CUSTOM
from agents.changes import Actor
from agents.models import Agent, AgentToken, Mode, ProviderKey, Workspace
from agents.plans import TIERS, ahead, month_terms, tier_at

KEY_LIMIT: Final = 4096  # characters


def check_plan(attrs: dict[str, Any], *, current: str | None) -> None:
    """Settle on the plan that is asked for: ``plan`` in ``attrs`` is a tier, None to leave, or absent.

    ``current`` is the tier that the agent is on. Naming it calls off a change that is ahead.

    Raises:
        ValidationError: by field, when mode and tier don't go together.
    """
    mode, tier = attrs.get("mode"), attrs.get("tier")
    if mode == Mode.BYOKEY and tier:
        raise serializers.ValidationError({"tier": _("An agent on its owner's key has no plan. Leave the tier out.")})
    if mode is None and tier and not current:
        raise serializers.ValidationError({"mode": _('Send the mode "managed" too: this agent is on its own key.')})
    if mode is None and "tier" in attrs and not tier and current:
        raise serializers.ValidationError({"tier": _('To leave the plan, send the mode "byokey".')})
    if mode == Mode.MANAGED and not (tier or current):
        raise serializers.ValidationError({"tier": _("Choose a plan: economy, standard or premium.")})
    if mode == Mode.BYOKEY:
        attrs["plan"] = None
    elif mode == Mode.MANAGED or tier:
        attrs["plan"] = tier or current


class AgentSerializer(serializers.Serializer[Agent]):
    """An agent. A key is given as ``api_key`` (saved as a new key) or as ``key`` (the id of a saved one)."""

    id = serializers.UUIDField(read_only=True)
    name = serializers.CharField(max_length=80)
    template = serializers.CharField(max_length=40, required=False, allow_blank=True)
    mode = serializers.ChoiceField(Mode.choices, required=False)
    provider = serializers.CharField(max_length=20, required=False)
    model = serializers.CharField(max_length=200, required=False, allow_blank=True)
    base_url = serializers.CharField(
        max_length=500, required=False, allow_blank=True, help_text=_("Of a Custom endpoint. Changes with its key.")
    )
    api_key = serializers.CharField(max_length=KEY_LIMIT, required=False, allow_blank=True, write_only=True)
    key = serializers.UUIDField(
        source="provider_key_id", required=False, allow_null=True, help_text=_("The saved key that it runs on.")
    )
    key_hint = serializers.CharField(read_only=True, default="")
    key_trouble = serializers.CharField(
        read_only=True, default="", help_text=_("Why the provider refuses the key, as in its own record; else empty.")
    )
    backup_key = serializers.UUIDField(
        source="backup_key_id",
        required=False,
        allow_null=True,
        help_text=_("Another saved key, asked where the provider of the first one fails; null for none."),
    )
    backup_key_hint = serializers.CharField(read_only=True, default="")
    backup_model = serializers.CharField(
        max_length=200,
        required=False,
        allow_blank=True,
        help_text=_("The model to ask the backup for; empty for the one that the request names."),
    )
    tier = serializers.ChoiceField(
        TIERS,
        required=False,
        allow_null=True,
        help_text=_("The plan that it is on now."),
    )
    next_tier = serializers.CharField(
        read_only=True, default=None, help_text=_("The plan from changes_on on; null when it leaves Managed then.")
    )
    changes_on = serializers.DateTimeField(
        read_only=True,
        default=None,
        help_text=_("When going down or leaving takes effect; null when nothing is ahead."),
    )
    overage_ceiling = serializers.DecimalField(
        max_digits=9,
        decimal_places=2,
        min_value=0,
        required=False,
        allow_null=True,
        help_text=_("USD that a month may cost beyond the plan: 0 stops at the allowance, null is the plan's fee."),
    )
    requests_per_minute = serializers.IntegerField(
        min_value=0,
        max_value=pacing.AT_MOST,
        required=False,
        allow_null=True,
        help_text=_("The limit that holds; 0 is none. Lower it, or send null for as much as is allowed."),
    )
    tokens_per_minute = serializers.IntegerField(
        min_value=0,
        max_value=pacing.AT_MOST,
        required=False,
        allow_null=True,
        help_text=_("The same for input and output tokens together."),
    )
    paused = serializers.BooleanField(required=False)
    created_at = serializers.DateTimeField(read_only=True)

    def to_representation(self, instance: Agent) -> dict[str, Any]:
        """Return what is shown of an agent: of its keys only the address and the hint."""
        key, backup = instance.provider_key, instance.backup_key
        shown = super().to_representation(instance)
        return {
            **shown,
            "base_url": key.base_url if key else "",
            "key_hint": key.hint if key else "",
            "key_trouble": key.trouble if key else "",
            "backup_key_hint": backup.hint if backup else "",
            **self._standing(instance),
        }

    def _standing(self, agent: Agent) -> dict[str, Any]:
        """Return what plan it is on, what is ahead, what it may cost beyond, and how fast it may go."""
        at: datetime = self.context["at"]
        pace = agent.pace(at)
        history = agent.history()
        tier, waiting, terms = tier_at(history, at), ahead(history, at=at), month_terms(history, month=at)
        ceiling = agent.ceiling(terms) if terms and tier else agent.overage_ceiling
        return {
            "mode": Mode.MANAGED if tier else Mode.BYOKEY,
            "tier": tier,
            "next_tier": waiting.tier if waiting else None,
            "changes_on": self.fields["changes_on"].to_representation(waiting.on) if waiting else None,
            "overage_ceiling": None if ceiling is None else f"{ceiling:.2f}",
            "requests_per_minute": pace.requests,
            "tokens_per_minute": pace.tokens,
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check what is asked of the agent against what it is; leave out what would change nothing."""
        agent = self.instance
        check_plan(attrs, current=agent.tier_at(self.context["at"]) if agent else None)
        if agent and attrs.get("template", agent.template) != agent.template:
            raise serializers.ValidationError({"template": _("An agent keeps the template that it started from.")})
        if attrs.get("backup_model") and not attrs.get("backup_key_id", agent.backup_key_id if agent else None):
            raise serializers.ValidationError({"backup_key": _("Name the key that is to be asked for this model.")})
        if "api_key" in attrs and attrs.get("provider_key_id"):
            raise serializers.ValidationError({"key": _("Give either a new key or the id of a saved one.")})
        _check_address(attrs, provider=attrs.get("provider") or (agent.provider if agent else ""), key=_key_of(agent))
        return attrs

    def create(self, validated_data: dict[str, Any]) -> Agent:
        """Create the agent with its key, both or neither."""
        attrs, by = validated_data, validated_data["by"]
        with transaction.atomic():
            agent = services.create_agent(
                workspace=attrs["workspace"],
                by=by,
                name=attrs["name"],
                template=attrs.get("template", ""),
                provider=attrs.get("provider", ""),
                model=attrs.get("model", ""),
            )
            _set_key(agent, attrs, by=by)
            _set_backup(agent, attrs, by=by)
            _set_plan(agent, attrs, by=by, at=self.context["at"])
            _set_paused(agent, attrs, by=by)
        return agent

    def update(self, instance: Agent, validated_data: dict[str, Any]) -> Agent:
        """Change what is given, all of it or nothing."""
        attrs, by = validated_data, validated_data["by"]
        with transaction.atomic():
            services.change_agent(
                agent=instance,
                by=by,
                name=attrs.get("name"),
                provider=attrs.get("provider"),
                model=attrs.get("model"),
            )
            _set_key(instance, attrs, by=by)
            _set_backup(instance, attrs, by=by)
            _set_plan(instance, attrs, by=by, at=self.context["at"])
            _set_paused(instance, attrs, by=by)
        return instance


def _key_of(agent: Agent | None) -> ProviderKey | None:
    return agent.provider_key if agent else None


def _check_address(attrs: dict[str, Any], *, provider: str, key: ProviderKey | None) -> None:
    """Drop a ``base_url`` that is the key's own already; refuse one that is out of place."""
    if "base_url" not in attrs:
        return
    same_place = key.provider == provider and key.base_url == attrs["base_url"].rstrip("/") if key else False
    if same_place or (provider != CUSTOM and not attrs["base_url"]):
        del attrs["base_url"]
    elif provider != CUSTOM:
        raise serializers.ValidationError({"base_url": _("Only a Custom endpoint has an address of its own.")})
    elif key and key.provider == CUSTOM and "api_key" not in attrs:
        # Else a saved key could be sent to an address of somebody's choosing.
        raise serializers.ValidationError({"api_key": _("Give the key again together with its new address.")})


def _set_key(agent: Agent, attrs: dict[str, Any], *, by: Actor) -> None:
    if "api_key" in attrs or "base_url" in attrs:
        current = agent.provider_key
        key = services.save_key(
            workspace=agent.workspace,
            provider=agent.provider,
            secret=attrs.get("api_key", ""),
            base_url=attrs.get("base_url", current.base_url if current else ""),
            by=by,
        )
        services.use_key(agent=agent, key=key, by=by)
    elif attrs.get("provider_key_id"):
        services.use_key(agent=agent, key=_saved_key(agent.workspace, attrs), by=by)
    elif "provider_key_id" in attrs:
        services.drop_key(agent=agent, by=by)


def _set_backup(agent: Agent, attrs: dict[str, Any], *, by: Actor) -> None:
    key_id = attrs.get("backup_key_id", agent.backup_key_id)
    if key_id is None:
        backups.drop_backup(agent=agent, by=by)
    elif "backup_key_id" in attrs or "backup_model" in attrs:
        # Another key's model isn't this one's.
        kept = agent.backup_model if key_id == agent.backup_key_id else ""
        key = _key(agent.workspace, key_id, field="backup_key")
        backups.set_backup(agent=agent, key=key, model=attrs.get("backup_model", kept), by=by)


def _key(workspace: Workspace, key_id: UUID, *, field: str) -> ProviderKey:
    key = workspace.provider_keys.filter(pk=key_id).first()
    if key is None:
        raise serializers.ValidationError({field: [_("There is no such key.")]})
    return key


def _saved_key(workspace: Workspace, attrs: dict[str, Any]) -> ProviderKey:
    key = _key(workspace, attrs["provider_key_id"], field="key")
    if attrs.get("provider", key.provider) != key.provider:
        raise serializers.ValidationError({"key": [_("This key is for another provider.")]})
    return key


def _set_plan(agent: Agent, attrs: dict[str, Any], *, by: Actor, at: datetime) -> None:
    if attrs.get("plan"):
        subscriptions.choose_plan(agent=agent, tier=attrs["plan"], by=by, at=at)
    elif "plan" in attrs:
        subscriptions.leave_managed(agent=agent, by=by, at=at)
    if "overage_ceiling" in attrs:
        subscriptions.set_ceiling(agent=agent, ceiling=attrs["overage_ceiling"], by=by)
    if "requests_per_minute" in attrs or "tokens_per_minute" in attrs:
        pacing.set_pace(
            agent=agent,
            requests=attrs.get("requests_per_minute", agent.requests_per_minute),
            tokens=attrs.get("tokens_per_minute", agent.tokens_per_minute),
            by=by,
            at=at,
        )


def _set_paused(agent: Agent, attrs: dict[str, Any], *, by: Actor) -> None:
    if "paused" not in attrs:
        return
    (services.pause_agent if attrs["paused"] else services.resume_agent)(agent=agent, by=by)
    agent.refresh_from_db(fields=["paused_at"])


class KeySerializer(serializers.Serializer[ProviderKey]):
    """A saved key at a provider. The secret goes in as ``api_key`` and never comes out."""

    id = serializers.UUIDField(read_only=True)
    name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    provider = serializers.CharField(max_length=20)
    base_url = serializers.CharField(max_length=500, required=False, allow_blank=True)
    api_key = serializers.CharField(max_length=KEY_LIMIT, required=False, allow_blank=True, write_only=True)
    hint = serializers.CharField(read_only=True)
    trouble = serializers.CharField(
        read_only=True,
        help_text=_(
            "Why its provider refuses it: wrong_key, no_credit, rate_limited, forbidden; empty while it works."
        ),
    )
    trouble_since = serializers.DateTimeField(read_only=True, allow_null=True)
    trouble_detail = serializers.CharField(read_only=True, source="trouble_said", help_text=_("The same, for people."))
    agents = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(read_only=True)

    def get_agents(self, key: ProviderKey) -> list[UUID]:
        """Return the ids of the agents that run on the key."""
        return [agent.pk for agent in key.agents.all()]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check what is asked of the key against what it is; leave out what would change nothing."""
        key = self.instance
        if key and attrs.get("provider", key.provider) != key.provider:
            raise serializers.ValidationError({"provider": _("A key stays with its provider. Save another one.")})
        _check_address(attrs, provider=attrs.get("provider") or (key.provider if key else ""), key=key)
        return attrs

    def create(self, validated_data: dict[str, Any]) -> ProviderKey:
        """Save a new key."""
        attrs = validated_data
        return services.save_key(
            workspace=attrs["workspace"],
            by=attrs["by"],
            provider=attrs["provider"],
            secret=attrs.get("api_key", ""),
            base_url=attrs.get("base_url", ""),
            name=attrs.get("name", ""),
        )

    def update(self, instance: ProviderKey, validated_data: dict[str, Any]) -> ProviderKey:
        """Rename the key or put another secret in its place."""
        attrs = validated_data
        with transaction.atomic():
            if "name" in attrs:
                services.rename_key(key=instance, name=attrs["name"])
            if "api_key" in attrs:
                services.replace_key(
                    key=instance, secret=attrs["api_key"], base_url=attrs.get("base_url"), by=attrs["by"]
                )
        return instance


class AgentTokenSerializer(serializers.Serializer[AgentToken]):
    """A token that an agent shows to the gateway."""

    id = serializers.UUIDField(read_only=True)
    name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    prefix = serializers.CharField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    last_used_at = serializers.DateTimeField(read_only=True, allow_null=True)


class NewAgentTokenSerializer(AgentTokenSerializer):
    """The same with the token itself, which is shown this once."""

    token = serializers.CharField(read_only=True)


class TemplateSerializer(serializers.Serializer[Any]):
    """A kind of agent to start from, with its usual month (tokens)."""

    id = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    tokens_input = serializers.IntegerField()
    tokens_output = serializers.IntegerField()
    tier = serializers.CharField()


class ProviderSerializer(serializers.Serializer[Any]):
    """A provider, and the models of it that are offered by name."""

    id = serializers.CharField()
    name = serializers.CharField()
    note = serializers.CharField()
    key_prefix = serializers.CharField()
    eu_hosted = serializers.BooleanField()
    models = serializers.ListField(child=serializers.CharField())


class TierSerializer(serializers.Serializer[Any]):
    """A plan's terms today. Money in USD, tokens a calendar month."""

    tier = serializers.CharField()
    name = serializers.CharField()
    fee = serializers.DecimalField(max_digits=9, decimal_places=2)
    included_tokens = serializers.IntegerField()
    overage_per_million = serializers.DecimalField(max_digits=9, decimal_places=2)
    popular = serializers.BooleanField()
