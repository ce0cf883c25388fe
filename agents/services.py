"""Every change to workspaces, agents, keys and tokens. Views, the API and commands call these; nobody else writes.

Each leaves an audit entry where a key, token, plan, member or ceiling changes, and tells the gateway which agents
are no longer what it remembers. What a person got wrong is raised as Django's ``ValidationError``, by field.
"""

import secrets
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from agents import backups, subscriptions
from agents.catalogue import CUSTOM, providers, templates
from agents.changes import Actor, announce, audit
from agents.crypto import Secret
from agents.models import (
    Agent,
    AgentToken,
    Invitation,
    Member,
    ProviderKey,
    Role,
    User,
    Workspace,
    WorkspaceToken,
)
from agents.tokens import digest

AnyToken = TypeVar("AnyToken", AgentToken, WorkspaceToken)

# --- Workspaces and their people ----------------------------------------------------------------


@transaction.atomic
def create_workspace(*, name: str, owner: User) -> Workspace:
    """Open a workspace with ``owner`` as its first member."""
    workspace = Workspace.objects.create(name=name)
    Member.objects.create(workspace=workspace, user=owner, role=Role.OWNER)
    audit(workspace=workspace, by=owner, action="workspace.created", target=name)
    return workspace


@transaction.atomic
def rename_workspace(*, workspace: Workspace, name: str, by: Actor) -> None:
    """Change how the workspace is called."""
    audit(workspace=workspace, by=by, action="workspace.renamed", target=name, was=workspace.name)
    workspace.name = name
    workspace.save(update_fields=["name"])


@transaction.atomic
def pause_managed(*, workspace: Workspace, at: datetime, by: Actor) -> None:
    """Refuse the requests of the workspace's agents on plans from now on. Those on keys of its own go on."""
    if Workspace.objects.filter(pk=workspace.pk, managed_paused_at=None).update(managed_paused_at=at):
        audit(workspace=workspace, by=by, action="managed.paused", target=workspace)
        announce(workspace.agents.values_list("pk", flat=True))


@transaction.atomic
def resume_managed(*, workspace: Workspace, by: Actor) -> None:
    """Answer the workspace's agents on plans again."""
    if Workspace.objects.filter(pk=workspace.pk).exclude(managed_paused_at=None).update(managed_paused_at=None):
        audit(workspace=workspace, by=by, action="managed.resumed", target=workspace)
        announce(workspace.agents.values_list("pk", flat=True))


@transaction.atomic
def invite(*, workspace: Workspace, email: str, role: str, by: User) -> tuple[Invitation, Secret]:
    """Offer ``email`` a place, replacing an open offer; return it with the token that its link carries.

    Raises:
        ValidationError: when that person is a member already, or the role isn't the inviter's to give.
    """
    if workspace.memberships.filter(user__email__iexact=email).exists():
        raise ValidationError({"email": _("%(email)s is already a member.") % {"email": email}})
    _may_give(workspace=workspace, role=role, by=by)
    workspace.invitations.filter(email__iexact=email, accepted_at=None).delete()
    token = Secret(secrets.token_urlsafe(32))
    invitation = Invitation.objects.create(
        workspace=workspace, email=email.lower(), role=role, token_digest=digest(token.reveal()), invited_by=by
    )
    audit(workspace=workspace, by=by, action="member.invited", target=email, role=role)
    return invitation, token


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, by: User) -> None:
    """Withdraw an offer that wasn't taken up yet. Twice is once."""
    deleted, _rows = Invitation.objects.filter(pk=invitation.pk, accepted_at=None).delete()
    if deleted:
        audit(workspace=invitation.workspace, by=by, action="member.uninvited", target=invitation.email)


def open_invitation(token: str) -> Invitation | None:
    """Return the offer behind a link's token, unless it was taken up or has expired."""
    found = Invitation.objects.select_related("workspace").filter(token_digest=digest(token), accepted_at=None).first()
    return found if found and found.expires_at > timezone.now() else None


@transaction.atomic
def accept_invitation(*, token: str, user: User) -> Member:
    """Take up the offer behind ``token``. Twice is once.

    Raises:
        ValidationError: when the link is spent or expired, or was sent to another address.
    """
    invitation = open_invitation(token)
    if invitation is None:
        raise ValidationError(_("This invitation has expired or was already used. Ask for a new one."))
    if invitation.email.lower() != user.email.lower():
        raise ValidationError(_("This invitation was sent to another address. Log in with that address to accept it."))
    claimed = Invitation.objects.filter(pk=invitation.pk, accepted_at=None).update(accepted_at=timezone.now())
    member, _created = Member.objects.get_or_create(
        workspace=invitation.workspace, user=user, defaults={"role": invitation.role}
    )
    if claimed:
        audit(workspace=invitation.workspace, by=user, action="member.joined", target=user, role=member.role)
    return member


@transaction.atomic
def change_role(*, member: Member, role: str, by: User) -> None:
    """Give a member another role.

    Raises:
        ValidationError: when it would leave the workspace without an owner, or isn't for ``by`` to give.
    """
    if member.role == role:
        return
    _may_give(workspace=member.workspace, role=member.role, by=by)
    _may_give(workspace=member.workspace, role=role, by=by)
    if member.role == Role.OWNER:
        _another_owner_than(member)
    audit(workspace=member.workspace, by=by, action="member.role", target=member.user, was=member.role, role=role)
    member.role = role
    member.save(update_fields=["role"])


@transaction.atomic
def remove_member(*, member: Member, by: User) -> None:
    """End somebody's membership (one's own included).

    Raises:
        ValidationError: when it would leave the workspace without an owner, or an admin would remove an owner.
    """
    if member.role == Role.OWNER:
        _another_owner_than(member)
    if member.user_id != by.pk:
        _may_give(workspace=member.workspace, role=member.role, by=by)
    audit(workspace=member.workspace, by=by, action="member.removed", target=member.user, role=member.role)
    member.delete()


def _another_owner_than(member: Member) -> None:
    # Locks the owners, so that two owners leaving at once can't both find the other one still there.
    owners = Member.objects.select_for_update().filter(workspace=member.workspace_id, role=Role.OWNER)
    if all(each.pk == member.pk for each in owners):
        raise ValidationError(_("A workspace needs an owner. Make somebody else an owner first."))


def _may_give(*, workspace: Workspace, role: str, by: User) -> None:
    # Only owners make or unmake owners: an admin can't take over the workspace.
    if role == Role.OWNER and not workspace.memberships.filter(user=by, role=Role.OWNER).exists():
        raise ValidationError({"role": _("Only an owner can do this to an owner.")})


# --- Agents -------------------------------------------------------------------------------------


@transaction.atomic
def create_agent(
    *, workspace: Workspace, name: str, by: Actor, template: str = "", provider: str = "", model: str = ""
) -> Agent:
    """Create an agent from a template or blank, on the owner's own key.

    Raises:
        ValidationError: for an unknown template or provider.
    """
    if template and template not in templates():
        raise ValidationError({"template": _("There is no such template.")})
    agent = Agent(workspace=workspace, name=name, template=template, provider=provider or "openai", model=model)
    _check_provider(agent.provider)
    agent.save()
    audit(workspace=workspace, by=by, action="agent.created", target=name)
    return agent


@transaction.atomic
def change_agent(
    *, agent: Agent, by: Actor, name: str | None = None, provider: str | None = None, model: str | None = None
) -> Agent:
    """Change what is given of an agent. Another provider lets go of a key that isn't for it.

    Raises:
        ValidationError: for an unknown provider.
    """
    if name is not None:
        agent.name = name
    if model is not None:
        agent.model = model
    if provider is not None and provider != agent.provider:
        _check_provider(provider)
        agent.provider = provider
        if agent.provider_key and agent.provider_key.provider != provider:
            audit(workspace=agent.workspace, by=by, action="key.detached", target=agent, key=str(agent.provider_key))
            agent.provider_key = None
    agent.save()
    announce([agent.pk])
    return agent


def _check_provider(provider: str) -> None:
    if provider not in providers():
        raise ValidationError({"provider": _("There is no such provider.")})


@transaction.atomic
def pause_agent(*, agent: Agent, by: Actor) -> bool:
    """Refuse the agent's requests from now on. Returns whether that is news."""
    paused = Agent.objects.filter(pk=agent.pk, paused_at=None).update(paused_at=timezone.now()) == 1
    if paused:
        audit(workspace=agent.workspace, by=by, action="agent.paused", target=agent)
        announce([agent.pk])
    return paused


@transaction.atomic
def resume_agent(*, agent: Agent, by: Actor) -> None:
    """Answer the agent's requests again."""
    if Agent.objects.filter(pk=agent.pk).exclude(paused_at=None).update(paused_at=None):
        audit(workspace=agent.workspace, by=by, action="agent.resumed", target=agent)
        announce([agent.pk])


@transaction.atomic
def delete_agent(*, agent: Agent, by: Actor) -> None:
    """Take the agent away: its tokens stop working, its plan ends with the month, its usage stays for the reckoning."""
    now = timezone.now()
    if Agent.objects.filter(pk=agent.pk, deleted_at=None).update(deleted_at=now, provider_key=None, backup_key=None):
        subscriptions.end_with_month(agent=agent, at=now)
        agent.tokens.filter(revoked_at=None).update(revoked_at=now)
        audit(workspace=agent.workspace, by=by, action="agent.deleted", target=agent)
        announce([agent.pk])


# --- Keys ---------------------------------------------------------------------------------------


@transaction.atomic
def save_key(
    *, workspace: Workspace, provider: str, secret: str, by: Actor, base_url: str = "", name: str = ""
) -> ProviderKey:
    """Seal a customer's key at a provider.

    Raises:
        ValidationError: for an unknown provider, a missing key, or a Custom endpoint without an address.
    """
    key = ProviderKey(workspace=workspace, provider=provider, base_url=_base_url(provider, base_url), name=name)
    key.seal(_checked_secret(provider, secret))
    key.save()
    audit(workspace=workspace, by=by, action="key.saved", target=key, provider=provider)
    return key


@transaction.atomic
def replace_key(*, key: ProviderKey, secret: str, by: Actor, base_url: str | None = None) -> ProviderKey:
    """Put a new secret in a saved key's place: every agent that uses it goes on with the new one.

    An address can only change together with the secret, which is bound to it.

    Raises:
        ValidationError: for a missing key, or a Custom endpoint without an address.
    """
    was = str(key)
    if base_url is not None:
        key.base_url = _base_url(key.provider, base_url)
    key.seal(_checked_secret(key.provider, secret))
    # What was wrong with the old one is over, and of the new one its owners haven't been told anything yet.
    key.trouble, key.trouble_since, key.told_at = "", None, None
    key.save()
    audit(workspace=key.workspace, by=by, action="key.replaced", target=key, was=was)
    announce(_using(key))
    return key


@transaction.atomic
def rename_key(*, key: ProviderKey, name: str) -> None:
    """Change how a key is called."""
    key.name = name
    key.save(update_fields=["name", "changed_at"])


@transaction.atomic
def use_key(*, agent: Agent, key: ProviderKey, by: Actor) -> None:
    """Let the agent run on a saved key of its own workspace.

    Raises:
        ValidationError: when the key is another workspace's.
    """
    if key.workspace_id != agent.workspace_id:
        raise ValidationError({"key": _("There is no such key.")})
    if agent.provider_key_id == key.pk and agent.provider == key.provider:
        return
    if agent.backup_key_id == key.pk:
        backups.drop_backup(agent=agent, by=by)
    agent.provider_key, agent.provider = key, key.provider
    agent.save()
    audit(workspace=agent.workspace, by=by, action="key.attached", target=agent, key=str(key))
    announce([agent.pk])


@transaction.atomic
def drop_key(*, agent: Agent, by: Actor) -> None:
    """Leave the agent without a key; the key itself stays saved."""
    if agent.provider_key is None:
        return
    audit(workspace=agent.workspace, by=by, action="key.detached", target=agent, key=str(agent.provider_key))
    agent.provider_key = None
    agent.save()
    announce([agent.pk])


@transaction.atomic
def delete_key(*, key: ProviderKey, by: Actor) -> None:
    """Forget a key for good; the agents that used it can't answer until they get another."""
    agent_ids = _using(key)
    audit(workspace=key.workspace, by=by, action="key.deleted", target=key, provider=key.provider)
    key.delete()
    announce(agent_ids)


def _using(key: ProviderKey) -> list[UUID]:
    return list(Agent.objects.filter(Q(provider_key=key) | Q(backup_key=key)).values_list("pk", flat=True))


def _checked_secret(provider: str, secret: str) -> str:
    secret = secret.strip()
    # A header can't carry anything else, and a pasted key with a line break in it is a common mistake.
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ValidationError(
            {"api_key": _("This doesn't look like a key: it has spaces or unusual characters in it.")}
        )
    if not secret and provider != CUSTOM:
        raise ValidationError({"api_key": _("Paste the key that your provider gave you.")})
    return secret


def _base_url(provider: str, base_url: str) -> str:
    _check_provider(provider)
    if provider != CUSTOM:
        return ""
    base_url = base_url.strip().rstrip("/")
    if not base_url.startswith(("https://", "http://")):
        raise ValidationError({"base_url": _("Give the address of your endpoint, such as https://llm.example.com/v1.")})
    return base_url


# --- Tokens -------------------------------------------------------------------------------------


@transaction.atomic
def create_agent_token(*, agent: Agent, by: Actor, name: str = "") -> tuple[AgentToken, Secret]:
    """Make a token for the gateway; the secret is returned this once."""
    return _mint(AgentToken(agent=agent, name=name), workspace=agent.workspace, by=by)


@transaction.atomic
def create_workspace_token(*, workspace: Workspace, by: Actor, name: str = "") -> tuple[WorkspaceToken, Secret]:
    """Make a token for the management API; the secret is returned this once."""
    return _mint(WorkspaceToken(workspace=workspace, name=name), workspace=workspace, by=by)


def _mint(token: AnyToken, *, workspace: Workspace, by: Actor) -> tuple[AnyToken, Secret]:
    secret = token.mint()
    token.created_by = by if isinstance(by, User) else None
    token.save()
    audit(workspace=workspace, by=by, action="token.created", target=token, name=token.name)
    return token, secret


@transaction.atomic
def revoke_token(*, token: AgentToken | WorkspaceToken, by: Actor) -> None:
    """Stop a token from working. Twice is once."""
    if not type(token).objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        return
    workspace = token.agent.workspace if isinstance(token, AgentToken) else token.workspace
    audit(workspace=workspace, by=by, action="token.revoked", target=token, name=token.name)
    if isinstance(token, AgentToken):
        announce([token.agent_id])
