"""The management API of experiments."""

from dataclasses import asdict
from typing import Any

import msgspec
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api import OfWorkspace, OneByOne
from agents.pagination import NewestFirst
from llm.experiments import services
from llm.experiments.results import Results, latest, usd
from llm.experiments.serializers import ExperimentSerializer, ResultsSerializer
from llm.experiments.words import Speaker
from llm.models import Arm, Experiment


class LastBegunFirst(NewestFirst):
    """A page of experiments, the last one begun first."""

    ordering = ("-started_at", "id")


@extend_schema(tags=["experiments"])
class Experiments(OneByOne):
    """An agent's traffic, divided between two to four ways to answer it."""

    queryset = Experiment.objects.select_related("agent__workspace").prefetch_related("arms")
    serializer_class = ExperimentSerializer
    pagination_class = LastBegunFirst

    def get_queryset(self) -> QuerySet[Experiment]:
        """Keep the workspace's own."""
        return self.locked(super().get_queryset().filter(agent__workspace=self.workspace))

    def perform_destroy(self, instance: Experiment) -> None:
        """Forget it; if it still runs, it ends."""
        services.delete(experiment=instance, by=self.caller.by)


class ResultsOf(OfWorkspace):
    """What has come of an experiment."""

    serializer_class = ResultsSerializer

    @extend_schema(tags=["experiments"])
    def get(self, _request: Request, pk: str) -> Response:
        """Answer with figures, differences, and what they come to."""
        mine = Experiment.objects.filter(agent__workspace=self.workspace).prefetch_related("arms")
        experiment = get_object_or_404(mine, pk=pk)
        seen = latest(experiment, at=timezone.now())
        return Response(ResultsSerializer(_shown(experiment, seen)).data)


def _shown(experiment: Experiment, seen: Results) -> dict[str, Any]:
    arms: list[Arm] = list(experiment.arms.all())
    speaker = Speaker(experiment=experiment, arms=arms, results=seen)
    winner = seen.conclusion.winner
    return {
        "at": seen.at,
        "decided": seen.conclusion.decided,
        "winner": None if winner is None else arms[winner].pk,
        "sentence": speaker.headline(),
        "odd_shares": seen.odd_shares,
        "sessions": seen.sessions,
        "needed": seen.needed,
        "arms": [{**msgspec.structs.asdict(side), "cost": usd(side.cost)} for side in seen.sides],
        "differences": [
            {**asdict(each), "arm": arm.pk, "sentence": speaker.sentence(each, arm)}
            for compared in seen.differences.values()
            for arm, each in zip(arms[1:], compared, strict=True)
        ],
    }
