"""What was thought of the answers that a page lists."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django import template

from llm.models import Feedback

register = template.Library()


@register.simple_tag
def scores_of(lines: Sequence[Mapping[str, Any]]) -> dict[UUID, float]:
    """Return the scores that there are for the records of lines, by their ids."""
    thoughts = Feedback.objects.filter(request_id__in=[line["record"].pk for line in lines])
    return dict(thoughts.values_list("request_id", "score"))


@register.filter
def score_of(scores: Mapping[UUID, float], request_id: UUID) -> float | None:
    """Return a record's score; None where nobody has said anything."""
    return scores.get(request_id)
