"""The management API of agents, their tokens and keys, and the catalogues."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView, ListAPIView, get_object_or_404
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from agents import services
from agents.authentication import Caller, ManagesAgents, caller_of
from agents.catalogue import ECHO, offered, templates
from agents.models import Agent, AgentToken, ProviderKey, Workspace
from agents.pagination import Everything
from agents.plans import plans
from agents.serializers import (
    AgentSerializer,
    AgentTokenSerializer,
    KeySerializer,
    NewAgentTokenSerializer,
    ProviderSerializer,
    TemplateSerializer,
    TierSerializer,
)


class OfWorkspace(GenericAPIView[Any]):
    """A view of what the caller's workspace has: of others' things there is nothing to be found."""

    permission_classes: tuple[type[BasePermission], ...] = (ManagesAgents,)
    request: Request

    @property
    def caller(self) -> Caller:
        """On whose behalf the request acts."""
        return caller_of(self.request)

    @property
    def workspace(self) -> Workspace:
        """The workspace that the request is about."""
        return self.caller.workspace

    def locked(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Hold the row that is about to change, so that two changes at once don't undo each other."""
        return rows.select_for_update(of=("self",)) if self.request.method == "PATCH" else rows

    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        """Create in the caller's workspace, in the caller's name."""
        serializer.save(workspace=self.workspace, by=self.caller.by)

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        """Change in the caller's name."""
        serializer.save(by=self.caller.by)


class OneByOne(
    OfWorkspace,
    mixins.ListModelMixin,
    mixins.CreateModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[Any],
):
    """List, create, show, change and delete."""

    @transaction.atomic
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change what is given, all of it or nothing."""
        return super().partial_update(request, *args, **kwargs)


@extend_schema(tags=["agents"])
class Agents(OneByOne):
    """Agents: what their requests are answered with."""

    queryset = (
        Agent.objects.living().select_related("workspace", "provider_key", "backup_key").prefetch_related("stays")
    )
    serializer_class = AgentSerializer

    def get_serializer_context(self) -> dict[str, Any]:
        """Tell the moment: plans are counted from it."""
        return {**super().get_serializer_context(), "at": timezone.now()}

    def get_queryset(self) -> QuerySet[Agent]:
        """Keep the workspace's own."""
        return self.locked(super().get_queryset().filter(workspace=self.workspace))

    def perform_destroy(self, instance: Agent) -> None:
        """Take the agent away; its tokens stop working."""
        services.delete_agent(agent=instance, by=self.caller.by)


@extend_schema(tags=["keys"])
class Keys(OneByOne):
    """Saved keys at providers. Their secrets go in and never come out."""

    queryset = ProviderKey.objects.prefetch_related("agents")
    serializer_class = KeySerializer

    def get_queryset(self) -> QuerySet[ProviderKey]:
        """Keep the workspace's own."""
        return self.locked(super().get_queryset().filter(workspace=self.workspace))

    def perform_destroy(self, instance: ProviderKey) -> None:
        """Forget the key; agents that used it need another."""
        services.delete_key(key=instance, by=self.caller.by)


@extend_schema(tags=["agents"])
@extend_schema_view(create=extend_schema(responses={201: NewAgentTokenSerializer}))
class Tokens(OfWorkspace, mixins.ListModelMixin, mixins.DestroyModelMixin, GenericViewSet[Any]):
    """The tokens that an agent shows to the gateway; revoked ones are gone from here."""

    queryset = AgentToken.objects.filter(revoked_at=None)
    serializer_class = AgentTokenSerializer

    def get_queryset(self) -> QuerySet[AgentToken]:
        """Keep the agent's own."""
        return super().get_queryset().filter(agent=self._agent())

    def create(self, request: Request, *_args: Any, **_kwargs: Any) -> Response:
        """Make a token; it is shown in this answer and never again."""
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        token, secret = services.create_agent_token(
            agent=self._agent(), by=self.caller.by, name=asked.validated_data.get("name", "")
        )
        shown = {**self.get_serializer(token).data, "token": secret.reveal()}
        return Response(shown, status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: AgentToken) -> None:
        """Stop the token from working."""
        services.revoke_token(token=instance, by=self.caller.by)

    def _agent(self) -> Agent:
        return agent_or_404(self.workspace, self.kwargs["agent_id"])


def agent_or_404(workspace: Workspace, agent_id: str) -> Agent:
    """Return the workspace's living agent.

    Raises:
        Http404: when it has no such agent, or ``agent_id`` is no id at all.
    """
    return get_object_or_404(Agent.objects.living().filter(workspace=workspace), pk=agent_id)


class Catalogue(ListAPIView[Any]):
    """A short list that is the same for everybody."""

    pagination_class = Everything
    filter_backends = ()


@extend_schema(tags=["catalogues"])
class Templates(Catalogue):
    """Kinds of agents to start from."""

    serializer_class = TemplateSerializer

    def get_queryset(self) -> Any:
        """Return all of them."""
        return list(templates().values())


@extend_schema(tags=["catalogues"])
class Providers(Catalogue):
    """Providers, and the models of theirs that are offered by name. Others work as well."""

    serializer_class = ProviderSerializer

    def get_queryset(self) -> Any:
        """Return those that can be reached: the built-in one only where it has an address."""
        return offered(echo=bool(settings.PROVIDER_BASE_URL(ECHO, "")))


@extend_schema(tags=["catalogues"])
class Tiers(Catalogue):
    """The plans of Managed agents, on today's terms."""

    serializer_class = TierSerializer

    def get_queryset(self) -> Any:
        """Return today's terms, the cheapest first."""
        return plans(on=timezone.now().date())


class NoSuchAddress(APIView):
    """Answers, in JSON, what no other address of the API does."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(exclude=True)
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Answer 404 to every method."""
        raise NotFound(_("There is nothing at this address. Addresses of this API end in a slash."))
