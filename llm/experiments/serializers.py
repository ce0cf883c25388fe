"""How experiments are written in the management API."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from agents.changes import Actor
from agents.models import Agent, ProviderKey, Workspace
from agents.plans import TIERS
from llm.experiments import services
from llm.experiments.services import HEAVIEST, LONGEST_INSTRUCTIONS, Side
from llm.models import Arm, Experiment, Goal

Status = Experiment.Status


class ArmSerializer(serializers.Serializer[Arm]):
    """One side: the agent as it is, but for what is given here."""

    id = serializers.UUIDField(read_only=True)
    name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    weight = serializers.IntegerField(
        min_value=1, max_value=HEAVIEST, required=False, help_text=gettext_lazy("Its share, relative to the others.")
    )
    key = serializers.UUIDField(
        source="key_id", required=False, allow_null=True, help_text=gettext_lazy("The id of a saved key.")
    )
    model = serializers.CharField(
        max_length=200,
        required=False,
        allow_blank=True,
        help_text=gettext_lazy("Asked for whatever the request names; empty for the one that it names."),
    )
    tier = serializers.ChoiceField(
        TIERS,
        required=False,
        allow_blank=True,
        help_text=gettext_lazy("The agent's own plan or a smaller one; for agents on a plan."),
    )
    instructions = serializers.CharField(
        max_length=LONGEST_INSTRUCTIONS,
        required=False,
        allow_blank=True,
        help_text=gettext_lazy("Added to the system prompt."),
    )


class ExperimentSerializer(serializers.Serializer[Experiment]):
    """An experiment. Its sides and their shares are fixed once it has begun, which is at once."""

    id = serializers.UUIDField(read_only=True)
    agent = serializers.UUIDField(source="agent_id")
    name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    goal = serializers.ChoiceField(Goal.choices, required=False)
    status = serializers.ChoiceField(Status.choices, required=False)
    adopt = serializers.UUIDField(
        write_only=True, required=False, help_text=gettext_lazy("The side that the agent is to become; ends it.")
    )
    adopted = serializers.UUIDField(source="adopted_id", read_only=True, allow_null=True)
    started_at = serializers.DateTimeField(read_only=True)
    ended_at = serializers.DateTimeField(read_only=True, allow_null=True)
    arms = ArmSerializer(many=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what can't be changed any more, and what isn't there yet."""
        fixed = [name for name, field in (("agent", "agent_id"), ("goal", "goal"), ("arms", "arms")) if field in attrs]
        if self.instance is not None and fixed:
            raise serializers.ValidationError({fixed[0]: _("This can't change once the experiment has begun.")})
        if self.instance is None and attrs.get("status", Status.RUNNING) != Status.RUNNING:
            raise serializers.ValidationError({"status": [_("An experiment begins at once.")]})
        if self.instance is None and "adopt" in attrs:
            raise serializers.ValidationError({"adopt": [_("There is nothing to adopt yet.")]})
        return attrs

    def create(self, validated_data: dict[str, Any]) -> Experiment:
        """Start an experiment on one of the workspace's agents."""
        workspace: Workspace = validated_data["workspace"]
        agent = Agent.objects.living().filter(workspace=workspace, pk=validated_data["agent_id"]).first()
        if agent is None:
            raise serializers.ValidationError({"agent": [_("There is no such agent.")]})
        return services.start(
            agent=agent,
            name=validated_data.get("name", ""),
            goal=validated_data.get("goal", Goal.COST),
            sides=[_side(given, workspace) for given in validated_data["arms"]],
            by=validated_data["by"],
            at=timezone.now(),
        )

    def update(self, instance: Experiment, validated_data: dict[str, Any]) -> Experiment:
        """Rename, pause, resume, end, or adopt a side."""
        by: Actor = validated_data["by"]
        if validated_data.get("name"):
            services.rename(experiment=instance, name=validated_data["name"])
        if "adopt" in validated_data:
            _adopt(instance, validated_data["adopt"], by=by)
        elif "status" in validated_data:
            _move(instance, validated_data["status"], by=by)
        instance.refresh_from_db()
        return instance


def _side(given: dict[str, Any], workspace: Workspace) -> Side:
    key_id = given.get("key_id")
    key = ProviderKey.objects.filter(workspace=workspace, pk=key_id).first() if key_id else None
    if key_id and key is None:
        raise serializers.ValidationError({"arms": [_("There is no such key.")]})
    return Side(
        name=given.get("name", ""),
        weight=given.get("weight", 1),
        key=key,
        model=given.get("model", ""),
        tier=given.get("tier", ""),
        instructions=given.get("instructions", ""),
    )


def _adopt(experiment: Experiment, arm_id: Any, *, by: Actor) -> None:
    arm = experiment.arms.filter(pk=arm_id).first()
    if arm is None:
        raise serializers.ValidationError({"adopt": [_("This experiment has no such side.")]})
    services.adopt(experiment=experiment, arm=arm, by=by, at=timezone.now())


def _move(experiment: Experiment, status: str, *, by: Actor) -> None:
    if status == experiment.status:
        return
    if experiment.over:
        raise serializers.ValidationError({"status": [_("This experiment is over.")]})
    if status == Status.ENDED:
        services.end(experiment=experiment, by=by, at=timezone.now())
    elif status == Status.PAUSED:
        services.pause(experiment=experiment, by=by)
    else:
        services.resume(experiment=experiment, by=by)


# --- Results --------------------------------------------------------------------------------------------------------


class FiguresSerializer(serializers.Serializer[Any]):
    """What a side came to: averages a request, sessions counted."""

    arm = serializers.UUIDField()
    sessions = serializers.IntegerField()
    requests = serializers.IntegerField()
    cost = serializers.DecimalField(max_digits=18, decimal_places=6, allow_null=True, help_text=gettext_lazy("USD."))
    seconds = serializers.FloatField(allow_null=True)
    success = serializers.FloatField(allow_null=True)
    feedback = serializers.FloatField(allow_null=True)
    thoughts = serializers.IntegerField(help_text=gettext_lazy("How many answers got feedback."))


class DifferenceSerializer(serializers.Serializer[Any]):
    """How a side differs from the first: relative for cost and speed, in shares for success and feedback."""

    arm = serializers.UUIDField()
    metric = serializers.CharField()
    found = serializers.CharField(help_text=gettext_lazy("better, worse, same, open or nothing"))
    change = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    sure = serializers.FloatField()
    sentence = serializers.CharField()


class ResultsSerializer(serializers.Serializer[Any]):
    """What has come of an experiment until now."""

    at = serializers.DateTimeField()
    decided = serializers.BooleanField()
    winner = serializers.UUIDField(allow_null=True)
    sentence = serializers.CharField()
    odd_shares = serializers.BooleanField(help_text=gettext_lazy("Whether the sides' shares can't be chance."))
    sessions = serializers.IntegerField()
    needed = serializers.IntegerField(
        allow_null=True, help_text=gettext_lazy("Sessions that usually show a difference of 10%.")
    )
    arms = FiguresSerializer(many=True)
    differences = DifferenceSerializer(many=True)
