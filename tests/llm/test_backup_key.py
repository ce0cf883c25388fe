"""Stefan names a second key of his own: it is asked where the first one's provider fails, and nobody else's ever is."""

import asyncio

import msgspec
import pytest
from django.utils import timezone

from agents import backups, services
from agents.crypto import Secret
from agents.models import Agent
from llm.providers.base import Target
from llm.snapshot import AgentSnapshot, snapshot_of
from tests.llm.gateway import TOKEN, agent

HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three four"}]}
STREAM = {**HELLO, "stream": True}
BACKUP_KEY = "sk-backup-9876543210-zyxw"


def backup(echo, *, provider: str = "mistral", model: str = "mistral-small-latest") -> Target:
    return Target(provider=provider, model=model, base_url=echo.url(provider), key=Secret(BACKUP_KEY))


@pytest.fixture
def stefans(house, echo):
    """A gateway whose one agent, Stefan's, is on OpenAI and has a backup at Mistral."""
    house.agents[TOKEN] = agent("openai", echo.url("openai"), backup=backup(echo))
    return house


def said(answered):
    if answered.headers["content-type"].startswith("text/event-stream"):
        return answered.text()
    return answered.json()["choices"][0]["message"]["content"]


def statuses(record):
    return [(attempt["provider"], attempt["status"]) for attempt in record["attempts"]]


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["whole", "streamed"])
@pytest.mark.parametrize("status", [401, 402, 403, 408, 409, 429, 500, 503, 529])
async def test_where_the_first_provider_fails_the_backup_answers(stefans, echo, body, status):
    echo.script(f"status={status}", provider="openai")
    answered = await stefans.call(body)
    assert (answered.status, said(answered)) == (200, "You said: one two three four")
    assert answered.headers["x-vutler-provider"] == "mistral"
    assert answered.headers["x-vutler-model"] == "mistral-small-latest"
    assert answered.headers["x-vutler-attempts"] == "2"
    first, second = await echo.arequests(count=2)
    assert (first.provider, first.json()["model"]) == ("openai", "gpt-4o-mini")
    assert (second.provider, second.json()["model"]) == ("mistral", "mistral-small-latest")
    assert second.headers["authorization"] == f"Bearer {BACKUP_KEY}"
    record = await stefans.record()
    assert statuses(record) == [("openai", status), ("mistral", 200)]
    assert (record["provider"], record["model"], record["status"]) == ("mistral", "mistral-small-latest", "ok")
    assert (record["mode"], record["tier"], record["tokens_input"], record["tokens_output"]) == (
        "byokey", "byokey", 4, 6,
    )  # fmt: skip


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["whole", "streamed"])
async def test_while_the_first_provider_answers_the_backup_is_never_asked(stefans, echo, body):
    answered = await stefans.call(body)
    assert (answered.headers["x-vutler-provider"], answered.headers["x-vutler-attempts"]) == ("openai", "1")
    assert [received.provider for received in await echo.arequests(count=1)] == ["openai"]


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_a_request_that_is_itself_wrong_is_not_asked_twice(stefans, echo, status):
    echo.script(f"status={status}", provider="openai")
    answered = await stefans.call(HELLO)
    assert (answered.status, answered.headers["x-vutler-provider"]) == (status, "openai")
    assert len(await echo.arequests(count=1)) == 1


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["whole", "streamed"])
async def test_where_nobody_answers_the_backup_does(stefans, echo, body):
    stefans.agents[TOKEN] = agent("openai", "http://127.0.0.1:1/v1", backup=backup(echo))
    answered = await stefans.call(body)
    assert (answered.status, said(answered)) == (200, "You said: one two three four")
    record = await stefans.record()
    assert statuses(record) == [("openai", None), ("mistral", 200)]
    assert (record["status"], record["http_status"]) == ("ok", 200)


@pytest.mark.parametrize(("body", "cut"), [(HELLO, 0), (HELLO, 1), (STREAM, 0)])
async def test_an_answer_that_breaks_off_before_its_first_byte_is_asked_for_again(stefans, echo, body, cut):
    echo.script(f"cut={cut}", provider="openai")
    answered = await stefans.call(body)
    assert (answered.status, said(answered)) == (200, "You said: one two three four")
    assert (await stefans.record())["status"] == "ok"


async def test_a_silent_provider_is_given_up_for_the_backup(stefans, echo, monkeypatch):
    monkeypatch.setattr("llm.client.SILENT_AT_MOST", 0.5)
    echo.script("delay=30", provider="openai")
    answered = await stefans.call(HELLO)
    assert (answered.status, answered.headers["x-vutler-provider"]) == (200, "mistral")
    assert {each.provider: each.outcome for each in await echo.arequests(count=2)}["openai"] == "client_gone"


async def test_after_the_first_byte_a_cut_is_a_cut(stefans, echo):
    echo.script("cut=3", provider="openai")
    answered = await stefans.call(STREAM)
    assert answered.events()[-1]["error"]["code"] == "upstream_unavailable"
    assert len(await echo.arequests(count=1)) == 1
    record = await stefans.record()
    assert (record["status"], record["provenance"], len(record["attempts"])) == ("provider_cut", "partial", 1)


async def test_where_both_fail_the_caller_gets_the_last_ones_own_words(stefans, echo):
    echo.script("status=500", provider="openai")
    echo.script("status=429; retry_after=7", provider="mistral")
    answered = await stefans.call(HELLO)
    assert (answered.status, answered.headers["retry-after"]) == (429, "7")
    assert answered.json()["object"] == "error"  # Mistral's own form
    assert (answered.headers["x-vutler-provider"], answered.headers["x-vutler-attempts"]) == ("mistral", "2")
    record = await stefans.record()
    assert statuses(record) == [("openai", 500), ("mistral", 429)]
    assert (record["status"], record["http_status"], record["cost_total"]) == ("provider_error", 429, 0)


async def test_where_nobody_answers_at_all_the_caller_gets_a_502(stefans, echo):
    nowhere = msgspec.structs.replace(backup(echo), base_url="http://127.0.0.1:1/v1")
    stefans.agents[TOKEN] = agent("openai", "http://127.0.0.1:1/v1", backup=nowhere)
    answered = await stefans.call(HELLO)
    assert (answered.status, answered.json()["error"]["code"]) == (502, "upstream_unavailable")
    record = await stefans.record()
    assert (record["status"], statuses(record)) == ("unreachable", [("openai", None), ("mistral", None)])


async def test_what_the_backup_cannot_be_asked_gets_the_first_ones_refusal_whole(stefans, echo):
    at_anthropic = backup(echo, provider="anthropic", model="claude-haiku-4-5")
    stefans.agents[TOKEN] = agent("openai", echo.url("openai"), backup=at_anthropic)
    echo.script("status=429; retry_after=7", provider="openai")
    answered = await stefans.call({**HELLO, "logit_bias": {"50256": -100}})
    assert (answered.status, answered.headers["retry-after"]) == (429, "7")
    assert answered.json()["error"]["message"] == "Echo was told to answer 429."
    assert (answered.headers["x-vutler-provider"], answered.headers["x-vutler-attempts"]) == ("openai", "1")
    assert statuses(await stefans.record()) == [("openai", 429)]


async def test_what_the_backup_cannot_be_asked_is_a_502_where_the_first_is_not_there(stefans, echo):
    at_anthropic = backup(echo, provider="anthropic", model="claude-haiku-4-5")
    stefans.agents[TOKEN] = agent("openai", "http://127.0.0.1:1/v1", backup=at_anthropic)
    answered = await stefans.call({**HELLO, "logit_bias": {"50256": -100}})
    assert (answered.status, answered.json()["error"]["code"]) == (502, "upstream_unavailable")
    assert await echo.arequests() == []


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["whole", "streamed"])
async def test_a_backup_that_speaks_another_dialect_is_translated(stefans, echo, body):
    at_anthropic = backup(echo, provider="anthropic", model="claude-haiku-4-5")
    stefans.agents[TOKEN] = agent("openai", echo.url("openai"), backup=at_anthropic)
    echo.script("status=500", provider="openai")
    answered = await stefans.call(body)
    assert said(answered) == "You said: one two three four"
    assert (await stefans.record())["model"] == "claude-haiku-4-5"


async def test_a_backup_without_a_model_is_asked_for_the_same_one_in_the_same_bytes(stefans, echo):
    second_account = backup(echo, provider="openai", model="")
    stefans.agents[TOKEN] = agent("openai", echo.url("openai"), backup=second_account)
    echo.script("status=429", provider="openai", times=1)
    body = b'{ "model":"gpt-4o",  "messages":[{"role":"user","content":"hello"}], "top_p": 1.00 }'
    answered = await stefans.call(body)
    assert (answered.status, answered.headers["x-vutler-model"]) == (200, "gpt-4o")
    first, second = await echo.arequests(count=2)
    assert first.body == second.body == body
    assert [each.headers["authorization"] for each in (first, second)] == [
        "Bearer sk-alex-0123456789-wxyz",
        f"Bearer {BACKUP_KEY}",
    ]


async def test_a_caller_who_leaves_while_the_backup_is_asked_is_recorded_so(stefans, echo):
    echo.script("status=500", provider="openai")
    echo.script("delay=30", provider="mistral")
    leave = asyncio.Event()
    call = asyncio.create_task(stefans.call(HELLO, leave=leave))
    while len(await echo.arequests(settled=False)) < 2:
        await asyncio.sleep(0.01)
    leave.set()
    await call
    assert [each.outcome for each in await echo.arequests(count=2)] == ["answered", "client_gone"]
    record = await stefans.record()
    assert (record["status"], statuses(record)) == ("client_closed", [("openai", 500), ("mistral", None)])


# --- Whose keys ---------------------------------------------------------------------------------


@pytest.fixture
def stefans_agent(stefan) -> Agent:
    """Stefan's agent, on OpenAI with a key of his."""
    mine = services.create_agent(workspace=stefan.workspace, name="Desk", by=stefan.user, model="gpt-4o-mini")
    key = services.save_key(workspace=stefan.workspace, provider="openai", secret="sk-stefan-0123456789", by="test")
    services.use_key(agent=mine, key=key, by=stefan.user)
    return mine


def as_the_gateway_sees(agent: Agent) -> AgentSnapshot:
    return snapshot_of(Agent.objects.get(pk=agent.pk), at=timezone.now())


def test_the_gateway_knows_the_backup_with_its_own_model(stefan, stefans_agent):
    key = services.save_key(workspace=stefan.workspace, provider="mistral", secret=BACKUP_KEY, by=stefan.user)
    backups.set_backup(agent=stefans_agent, key=key, model="mistral-small-latest", by=stefan.user)
    found = as_the_gateway_sees(stefans_agent).backup
    assert found is not None
    assert (found.provider, found.model, found.key.reveal()) == ("mistral", "mistral-small-latest", BACKUP_KEY)


def test_an_agent_on_a_plan_has_no_backup(stefan, stefans_agent):
    key = services.save_key(workspace=stefan.workspace, provider="mistral", secret=BACKUP_KEY, by=stefan.user)
    backups.set_backup(agent=stefans_agent, key=key, model="mistral-small-latest", by=stefan.user)
    stefans_agent.stays.create(tier="economy", starts_at=timezone.now())
    seen = as_the_gateway_sees(stefans_agent)
    assert (seen.target, seen.backup, seen.mode) == (None, None, "managed")


@pytest.fixture
def smuggled(stefans_agent, bot, settings, echo) -> AgentSnapshot:
    """Stefan's agent once somebody wrote Alex's key into its row, past every check."""
    settings.PROVIDER_BASE_URL = lambda provider, _default: echo.url(provider)
    Agent.objects.filter(pk=stefans_agent.pk).update(backup_key=bot.provider_key)
    return as_the_gateway_sees(stefans_agent)


@pytest.mark.parametrize("trouble", ["status=401", "status=429", "status=500", "cut=0"])
async def test_no_request_falls_back_onto_somebody_elses_key(house, echo, smuggled, trouble):
    house.agents[TOKEN] = smuggled
    house.arranged.tier("economy", ("openai", "gpt-4o-mini"))
    echo.script(trouble)
    answered = await house.call(HELLO)
    assert answered.status != 200
    [received] = await echo.arequests(count=1)
    assert received.headers["authorization"] == "Bearer sk-stefan-0123456789"
    assert len((await house.record())["attempts"]) == 1


def test_nor_does_an_agent_run_on_one_in_the_first_place(stefans_agent, bot):
    Agent.objects.filter(pk=stefans_agent.pk).update(provider_key=bot.provider_key)
    assert as_the_gateway_sees(stefans_agent).target is None
