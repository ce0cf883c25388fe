"""The management API's check of a key at its provider."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents import key_health
from agents.api import agent_or_404
from agents.authentication import ManagesAgents, caller_of
from agents.catalogue import providers
from agents.crypto import CannotOpen, Secret
from agents.models import Agent
from agents.serializers import KEY_LIMIT
from llm.key_check import KeyCheck, check_key


class KeyToCheckSerializer(serializers.Serializer[Any]):
    """A key that isn't saved yet. Empty: the agent's saved one."""

    api_key = serializers.CharField(max_length=KEY_LIMIT, required=False, allow_blank=True, write_only=True)
    provider = serializers.CharField(max_length=20, required=False)
    base_url = serializers.CharField(max_length=500, required=False, allow_blank=True)
    model = serializers.CharField(max_length=200, required=False, allow_blank=True)

    def validate_provider(self, value: str) -> str:
        """Refuse what isn't a provider."""
        if value not in providers():
            raise serializers.ValidationError(_("There is no such provider."))
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Never send a saved key to another place than its own."""
        if "api_key" not in attrs and ("provider" in attrs or "base_url" in attrs):
            raise serializers.ValidationError({"api_key": _("Give the key that is to be checked there.")})
        return attrs


class KeyCheckSerializer(serializers.Serializer[Any]):
    """What came of the check. ``problem`` is for programs, ``detail`` for people."""

    ok = serializers.BooleanField()
    provider = serializers.CharField()
    problem = serializers.CharField(allow_blank=True)
    detail = serializers.CharField()
    models = serializers.ListField(child=serializers.CharField())


class CheckKey(APIView):
    """Tries a key at its provider: the one given, or else the agent's saved one."""

    permission_classes = (ManagesAgents,)

    @extend_schema(tags=["agents"], request=KeyToCheckSerializer, responses=KeyCheckSerializer)
    def post(self, request: Request, agent_id: str) -> Response:
        """Answer with what the provider made of the key, in plain words. May take half a minute."""
        agent = agent_or_404(caller_of(request).workspace, agent_id)
        asked = KeyToCheckSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        provider = given.get("provider", agent.provider)
        check = _check_given(agent, provider, given) if "api_key" in given else _check_saved(agent, given)
        return Response(
            KeyCheckSerializer(
                {
                    "ok": check.ok,
                    "provider": provider,
                    "problem": check.problem,
                    "detail": check.detail,
                    "models": check.models,
                }
            ).data
        )


def _check_given(agent: Agent, provider: str, given: dict[str, Any]) -> KeyCheck:
    return check_key(
        provider=provider,
        secret=Secret(given["api_key"]),
        base_url=given.get("base_url", ""),
        model=given.get("model", agent.model if provider == agent.provider else ""),
    )


def _check_saved(agent: Agent, given: dict[str, Any]) -> KeyCheck:
    key = agent.provider_key
    if key is None:
        return KeyCheck(ok=False, problem="wrong_key", detail=_("This agent has no key yet."), models=[])
    try:
        secret = key.open()
    except CannotOpen:
        detail = _("This key can't be read any more. Paste it again.")
        return KeyCheck(ok=False, problem="wrong_key", detail=detail, models=[])
    check = check_key(
        provider=key.provider, secret=secret, base_url=key.base_url, model=given.get("model", agent.model)
    )
    if check.ok:
        key_health.key_works(key_id=key.pk)
    return check
