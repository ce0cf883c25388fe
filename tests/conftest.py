"""The cast: Elena, Alex, Maya and Stefan, each with a workspace of their own."""

import os
from dataclasses import dataclass

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import translation
from hypothesis import settings as hypothesis

from agents import services
from agents.models import Agent, User, Workspace
from tests.languages import compile_catalogues

pytest_plugins = ["tests.echo", "tests.llm.gateway", "tests.process", "tests.billing.paying"]

compile_catalogues()

PASSWORD = "correct horse battery"

# How long an example may take says more about the machine than about the code.
hypothesis.register_profile("house", deadline=None)
# Asks every property for thousands of examples, where the suite asks for some dozens: see docs/billing.md.
hypothesis.register_profile("thorough", deadline=None, max_examples=5_000)
hypothesis.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


@pytest.fixture(autouse=True)
def _plain_settings(settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.AXES_ENABLED = False


@pytest.fixture(autouse=True)
def _english():
    # A page asked for in French leaves the thread speaking French.
    with translation.override("en"):
        yield


def browser_of(user: User) -> Client:
    """Return a browser in which the user is logged in."""
    client = Client()
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[1])
    return client


@dataclass
class Person:
    user: User
    workspace: Workspace

    def client(self) -> Client:
        """Return a browser in which they are logged in."""
        return browser_of(self.user)


def person(name: str) -> Person:
    user = User.objects.create_user(f"{name.lower()}@{name.lower()}.example", PASSWORD, first_name=name)
    return Person(user=user, workspace=services.create_workspace(name=f"{name} & Co", owner=user))


@pytest.fixture
def elena(db) -> Person:
    """Owns a small company, isn't technical."""
    return person("Elena")


@pytest.fixture
def alex(db) -> Person:
    """A technical founder with a key of his own."""
    return person("Alex")


@pytest.fixture
def maya(db) -> Person:
    """A builder."""
    return person("Maya")


@pytest.fixture
def stefan(db) -> Person:
    """Enterprise, on his own keys."""
    return person("Stefan")


@pytest.fixture
def staff(db) -> Client:
    """A superuser's browser."""
    return browser_of(User.objects.create_superuser("staff@vutler.example", PASSWORD))


@pytest.fixture
def onlooker(db) -> Client:
    """The browser of somebody who may look at all of staff's pages and change nothing."""
    user = User.objects.create_user("looker@vutler.example", PASSWORD, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return browser_of(user)


@pytest.fixture
def bot(alex) -> Agent:
    """Alex's agent, on OpenAI with a key of his."""
    agent = services.create_agent(workspace=alex.workspace, name="Support Bot", by=alex.user, model="gpt-4o-mini")
    key = services.save_key(workspace=alex.workspace, provider="openai", secret="sk-alex-0123456789-wxyz", by=alex.user)
    services.use_key(agent=agent, key=key, by=alex.user)
    return agent
