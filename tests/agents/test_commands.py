"""The management commands of the room, and how far they say they are."""

import base64
import io
import json
from itertools import islice

import pytest
from django.core.management import CommandError, call_command

from agents import rotation, services
from agents.crypto import KeyRing
from agents.fields import SealedField, key_ring
from agents.management.progress import progress
from agents.models import AuditEntry, Member, ProviderKey, User, Workspace, WorkspaceToken
from tests.agents.program import Program
from tests.conftest import PASSWORD

OLD = base64.urlsafe_b64encode(b"0" * 32).decode()
NEW = base64.urlsafe_b64encode(b"1" * 32).decode()


def run(*command: str) -> str:
    out = io.StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


# --- create_workspace ---------------------------------------------------------------------------


def test_a_new_workspace_with_a_new_owner(db, client):
    made = json.loads(run("create_workspace", "Bäckerei Müller", "--owner", "Anna@Mueller.example", "--json"))
    workspace = Workspace.objects.get(pk=made["workspace_id"])
    assert (workspace.name, made["workspace"], made["owner"]) == (
        "Bäckerei Müller",
        "Bäckerei Müller",
        "anna@mueller.example",
    )
    assert Program(made["token"]).get("agents/").status_code == 200
    answer = client.post("/accounts/login/", {"login": "anna@mueller.example", "password": made["password"]})
    assert answer.status_code == 302
    assert answer["location"] == "/agents/"


def test_a_new_owner_with_a_password_of_theirs(db):
    made = json.loads(run("create_workspace", "Acme", "--owner", "anna@acme.example", "--password", PASSWORD, "--json"))
    assert "password" not in made
    assert User.objects.get().check_password(PASSWORD)


def test_somebody_who_has_an_account_gets_another_workspace(elena):
    said = run("create_workspace", "Second", "--owner", "ELENA@elena.example")
    assert "password" not in said
    assert Member.objects.filter(user=elena.user, role="owner").count() == 2
    assert User.objects.count() == 1


def test_the_audit_knows_where_the_token_came_from(db):
    run("create_workspace", "Acme", "--owner", "anna@acme.example")
    entry = AuditEntry.objects.get(action="token.created")
    assert entry.actor == "manage.py create_workspace"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["", "--owner", "anna@acme.example"], "cannot be blank"),
        (["x" * 121, "--owner", "anna@acme.example"], "at most 120"),
        (["Acme", "--owner", "anna"], "valid email"),
        (["Acme", "--owner", "anna@acme.example", "--password", "short"], "too short"),
        (["Acme", "--owner", "elena@elena.example", "--password", PASSWORD], "has an account already"),
        (["Acme"], "--owner"),
    ],
)
def test_bad_input_makes_nothing(elena, arguments, said):
    with pytest.raises(CommandError, match=said):
        run("create_workspace", *arguments)
    assert Workspace.objects.count() == 1
    assert User.objects.count() == 1
    assert not WorkspaceToken.objects.exists()


# --- rotate_keys --------------------------------------------------------------------------------


@pytest.fixture
def rotated(settings):
    """The ring after a new key was put before the old one."""
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    key_ring.cache_clear()
    yield KeyRing([NEW])
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    key_ring.cache_clear()


@pytest.fixture
def keys(alex) -> list[ProviderKey]:
    """Seven keys of Alex's, sealed under the old key."""
    return [
        services.save_key(workspace=alex.workspace, provider="groq", secret=f"gsk_{number}", by=alex.user)
        for number in range(7)
    ]


def opened(key: ProviderKey, ring: KeyRing) -> str:
    key.refresh_from_db()
    return ring.open(key.sealed_secret, context=key.context).reveal()


def test_every_secret_is_sealed_again_once(keys, rotated, monkeypatch):
    monkeypatch.setattr(rotation, "BATCH", 3)
    assert json.loads(run("rotate_keys", "--json")) == {"resealed": 7, "unreadable": []}
    assert [opened(key, rotated) for key in keys] == [f"gsk_{number}" for number in range(7)]
    assert run("rotate_keys") == "Sealed again: 0.\n"


def test_stopping_half_way_loses_nothing(keys, rotated):
    steps = list(islice(rotation.rotate(), 3))
    assert {step.outcome for step in steps} == {rotation.Outcome.RESEALED}
    assert rotation.due() == 4
    assert json.loads(run("rotate_keys", "--json"))["resealed"] == 4


def test_what_cannot_be_opened_is_named_and_left(keys, rotated):
    lost = KeyRing([base64.urlsafe_b64encode(b"9" * 32).decode()]).seal("x", context=keys[0].context)
    ProviderKey.objects.filter(pk=keys[0].pk).update(sealed_secret=lost)
    out = io.StringIO()
    with pytest.raises(CommandError, match=str(keys[0].pk)) as failed:
        call_command("rotate_keys", "--json", stdout=out)
    assert failed.value.returncode == 1
    assert json.loads(out.getvalue()) == {
        "resealed": 6,
        "unreadable": [f"agents.ProviderKey.sealed_secret {keys[0].pk}"],
    }
    keys[0].refresh_from_db()
    assert keys[0].sealed_secret == lost


@pytest.mark.parametrize("sealed_under", [[NEW, OLD], [OLD]])
def test_a_key_replaced_meanwhile_stays(keys, rotated, alex, monkeypatch, sealed_under):
    elsewhere, opening = KeyRing(sealed_under), KeyRing.open

    def replaced_while_open(ring, sealed, *, context):
        secret = opening(ring, sealed, context=context)
        monkeypatch.setattr(KeyRing, "open", opening)
        ProviderKey.objects.filter(pk=keys[0].pk).update(sealed_secret=elsewhere.seal("newer", context=context))
        return secret

    ProviderKey.objects.exclude(pk=keys[0].pk).delete()
    monkeypatch.setattr(KeyRing, "open", replaced_while_open)
    run("rotate_keys")
    assert opened(keys[0], rotated) == "newer"


def test_a_key_deleted_meanwhile_is_no_matter(keys, rotated, monkeypatch):
    opening = KeyRing.open

    def deleted_while_open(ring, sealed, *, context):
        ProviderKey.objects.all().delete()
        return opening(ring, sealed, context=context)

    monkeypatch.setattr(KeyRing, "open", deleted_while_open)
    assert json.loads(run("rotate_keys", "--json")) == {"resealed": 0, "unreadable": []}


def test_rotation_finds_every_sealed_column():
    assert rotation.Column(model=ProviderKey, name="sealed_secret") in rotation.columns()


def test_a_sealed_column_without_a_context_is_an_error():
    class Elsewhere:
        pass

    field = SealedField(name="sealed")
    field.model = Elsewhere  # type: ignore[assignment]
    assert "agents.E001" in [found.id for found in field.check()]


# --- How far ------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_it_is():
    terminal = Terminal()
    assert list(progress("abcd", total=4, on=terminal)) == ["a", "b", "c", "d"]
    assert terminal.getvalue().endswith(f"\r{'█' * 32} 100%  4 of 4\n")


def test_a_file_sees_nothing():
    file = io.StringIO()
    assert list(progress("abcd", total=4, on=file)) == ["a", "b", "c", "d"]
    assert file.getvalue() == ""
