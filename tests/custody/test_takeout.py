"""All of a workspace's data in one ZIP: complete, streamed, for those who may, and without a secret."""

import csv
import io
import random
from datetime import UTC, datetime
from typing import Any
from zipfile import ZipFile

import pytest
import time_machine
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.test import AsyncClient

from agents import services as people
from agents.models import AuditEntry, Member, Role
from billing import services
from custody.archive import AT_ONCE, zipped
from llm.compare.services import save_prompts
from llm.experiments import results
from llm.experiments import services as experiments
from llm.experiments.services import Side
from llm.feedback import keep, request_of
from llm.models import Comparison
from tests.billing.customers import CLOSED, FEBRUARY, came_early, on_plan, use
from tests.metering.records import FEBRUARY as FEBRUARY_16
from tests.metering.records import record, store

DOWNLOAD = "/settings/data/download/"
pytestmark = pytest.mark.django_db


@pytest.fixture
async def _connections_are_closed():
    # Those of the thread in which asgiref runs what would block.
    yield
    await sync_to_async(connections.close_all)()


def table(archive: ZipFile, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read(name).decode())))


async def taken(person) -> ZipFile:
    client = AsyncClient()
    await client.aforce_login(person.user, backend=settings.AUTHENTICATION_BACKENDS[1])
    with time_machine.travel(datetime(2026, 3, 3, tzinfo=UTC), tick=False):
        answer: Any = await client.post(DOWNLOAD)
        assert answer.status_code == 200
        assert answer.is_async  # under ASGI, anything else would be gathered in memory first
        return ZipFile(io.BytesIO(b"".join([part async for part in answer.streaming_content])))


def full(elena, stefan) -> dict[str, str]:
    """Fill Elena's workspace, and Stefan's beside it; return the secrets that were made on the way."""
    workspace = came_early(elena)
    helpdesk = on_plan(elena, "economy", name="Helpdesk")
    own = people.create_agent(workspace=workspace, name="=cmd()", model="gpt-4o-mini", by=elena.user)
    key = people.save_key(workspace=workspace, provider="openai", secret="sk-elena-0123456789-abcd", by=elena.user)
    people.use_key(agent=own, key=key, by=elena.user)
    _token, agent_token = people.create_agent_token(agent=helpdesk, by=elena.user)
    _other, workspace_token = people.create_workspace_token(workspace=workspace, by=elena.user)
    request = use(helpdesk, 2_500_000, provider="minimax", model="MiniMax-M2.5", cost_input="0.1", cost_output="0.2")
    store(record(own, cost_input="0.25", cost_output="0.5"))
    save_prompts(workspace=workspace, name="Sundays", prompts=["Do you open?"])
    run = Comparison.objects.create(
        workspace=workspace, agent=own, columns=[{"name": "gpt-4o"}], count=1, kept=True, prompts=["=Bread?"]
    )
    run.answers.create(prompt=0, column=0, status="ok", text="Yes.", thumb=1)
    tried_out(elena, own)
    theirs = on_plan(stefan, "premium", name="Stefan's")
    answer = record(theirs)
    store(answer)
    thought_of(answer, 0.1, label="Stefan's own")
    services.close(workspace_ids=[workspace.pk, stefan.workspace.pk], month=FEBRUARY, at=CLOSED)
    return {
        "key": "sk-elena-0123456789-abcd",
        "agent_token": agent_token.reveal(),
        "workspace_token": workspace_token.reveal(),
        "request": request,
    }


def tried_out(elena, agent) -> None:
    """Let two models answer her agent for a day, have one answer liked, and adopt the second."""
    sides = [Side(name="today"), Side(model="gpt-4o", instructions="=Be brief.", weight=3)]
    begun = experiments.start(
        agent=agent, name="Bigger?", goal="cost", sides=sides, by=elena.user, at=datetime(2026, 2, 10, tzinfo=UTC)
    )
    bigger = begun.arms.get(position=1)
    answer = record(agent, cost_input="0.01", cost_output="0.02", experiment_arm=str(bigger.pk), session="b" * 16)
    store(answer)
    thought_of(answer, 1.0, label="polite")
    results.look(begun, at=FEBRUARY_16)
    experiments.adopt(experiment=begun, arm=bigger, by=elena.user, at=FEBRUARY_16)


def thought_of(answer, score: float, *, label: str) -> None:
    made = request_of(answer.id)
    assert made is not None
    keep(made, score=score, label=label, at=FEBRUARY_16)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_connections_are_closed")
async def test_experiments_and_what_was_thought_of_answers_are_in_it(elena, stefan):
    await sync_to_async(full)(elena, stefan)
    archive = await taken(elena)
    today, bigger = table(archive, "experiments.csv")
    assert (today["experiment"], today["goal"], today["status"]) == ("Bigger?", "cost", "ended")
    assert (today["side"], today["adopted"], today["sessions"], today["cost"]) == ("today", "no", "0", "")
    told = [bigger[name] for name in ("agent", "model", "weight", "instructions", "adopted")]
    assert told == ["'=cmd()", "gpt-4o", "3", "'=Be brief.", "yes"]
    came_to = [bigger[name] for name in ("sessions", "requests", "cost", "seconds", "success", "feedback")]
    assert came_to == ["1", "1", "0.03", "1.2", "1.0", "1.0"]
    [thought] = table(archive, "feedback.csv")
    assert (thought["agent"], thought["score"], thought["label"]) == ("'=cmd()", "1.0", "polite")
    assert (thought["at"], thought["arm_id"]) == ("2026-02-16T18:00:00Z", bigger["arm_id"])
    arms = {row["id"]: row["experiment_arm"] for row in table(archive, "requests.csv")}
    assert arms[thought["request_id"]] == bigger["arm_id"]
    assert "experiments.csv" in archive.read("README.txt").decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_connections_are_closed")
async def test_everything_is_in_it_and_nothing_of_others(elena, stefan):
    made = await sync_to_async(full)(elena, stefan)
    archive = await taken(elena)
    assert archive.testzip() is None
    assert [each["email"] for each in table(archive, "members.csv")] == ["elena@elena.example"]
    agents = table(archive, "agents.csv")
    assert [(each["name"], each["mode"], each["plan"]) for each in agents] == [
        ("Helpdesk", "managed", "economy"),
        ("'=cmd()", "byokey", ""),
    ]
    [managed] = [row for row in table(archive, "requests.csv") if row["tier"] == "economy"]
    [own] = [row for row in table(archive, "requests.csv") if row["tier"] == "byokey" and not row["experiment_arm"]]
    assert (managed["id"], managed["agent"], managed["tokens_input"]) == (made["request"], "Helpdesk", "2500000")
    assert (managed["model"], managed["cost_total"], own["cost_total"]) == ("", "", "0.75")
    months = {row["agent"]: row for row in table(archive, "months.csv")}
    assert {row["month"] for row in months.values()} == {"2026-02"}
    assert (months["Helpdesk"]["tokens_on_plan"], months["Helpdesk"]["cost_total"]) == ("2500000", "")
    assert months["'=cmd()"]["cost_total"] == "0.78"
    amounts = [row["amount"] for row in table(archive, "invoices.csv")]
    assert amounts == ["180.00", "5.00", "1.00", "0.00"]
    assert table(archive, "prompts.csv") == [{"set": "Sundays", "prompt": "Do you open?"}]
    [compared] = table(archive, "compared.csv")
    assert (compared["prompt"], compared["asked"], compared["answer"]) == ("'=Bread?", "gpt-4o", "Yes.")
    [document] = [name for name in archive.namelist() if name.endswith(".pdf")]
    assert archive.read(document).startswith(b"%PDF")
    assert "put the agent Helpdesk on the plan" in archive.read("changes.csv").decode()
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"Stefan" not in everything


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_connections_are_closed")
async def test_no_key_and_no_token_is_in_it(elena, stefan):
    made = await sync_to_async(full)(elena, stefan)
    archive = await taken(elena)
    everything = b"".join(archive.read(name) for name in archive.namelist()).decode("latin-1")
    digests = await sync_to_async(lambda: [each.digest for each in elena.workspace.tokens.all()])()
    for secret in (made["key"], made["agent_token"], made["workspace_token"], *digests):
        assert secret not in everything


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_connections_are_closed")
async def test_it_is_written_down_who_took_it(elena, stefan):
    await taken(elena)
    entry = await AuditEntry.objects.aget(action="data.taken")
    assert (entry.actor, entry.sentence) == ("elena@elena.example", "downloaded all data of the workspace")


def test_of_much_only_a_little_is_held_at_a_time():
    noise = [random.Random(number).randbytes(20_000) for number in range(20)]
    given: list[int] = []

    def counted():
        for part in noise:
            given.append(len(part))
            yield part

    archive = zipped([("noise", counted())])
    first = next(archive)
    assert len(first) >= AT_ONCE
    assert len(given) < len(noise)
    whole = ZipFile(io.BytesIO(b"".join([first, *archive])))
    assert whole.read("noise") == b"".join(noise)


@pytest.mark.parametrize("role", [Role.MEMBER, Role.BILLING])
def test_others_in_the_workspace_may_not(elena, maya, role):
    Member.objects.filter(user=maya.user).delete()
    Member.objects.create(workspace=elena.workspace, user=maya.user, role=role)
    for path in ("/settings/data/", DOWNLOAD, "/settings/data/delete/"):
        assert maya.client().post(path).status_code == 403
    assert AuditEntry.objects.filter(action="data.taken").count() == 0


def test_a_link_alone_takes_nothing(elena, client):
    assert elena.client().get(DOWNLOAD).status_code == 405
    assert client.post(DOWNLOAD).status_code == 302
