"""Alex's key stops working: he is told once, in plain words, and no more of it once it works again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from django.db import connections
from django.utils import timezone

from agents import backups, services
from agents.crypto import Secret
from agents.models import Agent, Member, ProviderKey, Role, User
from agents.trouble import Trouble
from llm import key_watch
from llm.gateway import Observer
from llm.key_watch import IN_A_ROW, KeyWatch
from llm.providers.base import SavedKey, Target
from llm.refusals import trouble_of
from llm.snapshot import snapshot_of
from llm.tasks import tell_of_refused_keys
from tests.conftest import PASSWORD
from tests.llm.gateway import TOKEN, agent, on_plan

HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three four"}]}
SAVED = SavedKey(
    id=UUID("0199aaaa-0000-7000-8000-0000000000c1"), changed_at=datetime(2026, 2, 16, tzinfo=UTC), refused=False
)
REFUSED = msgspec.structs.replace(SAVED, refused=True)
SPARE = msgspec.structs.replace(SAVED, id=UUID("0199aaaa-0000-7000-8000-0000000000c2"))

# --- What is seen of the requests ---------------------------------------------------------------


class Noted:
    """What a watch had to say: ``(which key, trouble)``, without trouble where it works again."""

    def __init__(self) -> None:
        self._said: list[tuple[SavedKey, Trouble | None]] = []
        self.watch = KeyWatch(
            fails=lambda key, trouble: self._said.append((key, trouble)),
            works=lambda key: self._said.append((key, None)),
        )

    def said(self) -> list[tuple[SavedKey, Trouble | None]]:
        """Everything, once its thread is done."""
        self.watch.close()
        return self._said


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def observers(noted) -> list[Observer]:
    return [noted.watch]


@pytest.fixture
def alexs(house, echo):
    """A gateway whose one agent, Alex's, runs on a saved key that works as far as anybody knows."""
    house.agents[TOKEN] = agent("openai", echo.url("openai"), saved=SAVED)
    return house


@pytest.mark.parametrize(("status", "trouble"), [(401, Trouble.WRONG_KEY), (402, Trouble.NO_CREDIT)])
async def test_a_key_that_is_refused_outright_is_noted_at_once(alexs, noted, echo, status, trouble):
    echo.script(f"status={status}")
    await alexs.call(HELLO)
    assert noted.said() == [(SAVED, trouble)]


@pytest.mark.parametrize("provider", ["openai", "anthropic", "minimax", "groq", "mistral", "openrouter", "custom"])
async def test_an_empty_account_is_known_by_each_providers_own_words_for_it(house, noted, echo, provider):
    house.agents[TOKEN] = agent(provider, echo.url(provider), saved=SAVED)
    echo.script("error=no_credit")
    await house.call(HELLO)
    assert noted.said() == [(SAVED, Trouble.NO_CREDIT)]


@pytest.mark.parametrize(("status", "trouble"), [(429, Trouble.RATE_LIMITED), (403, Trouble.FORBIDDEN)])
async def test_what_may_pass_is_noted_when_it_comes_five_times_in_a_row(alexs, noted, echo, status, trouble):
    echo.script(f"status={status}")
    for _ in range(IN_A_ROW - 1):
        await alexs.call(HELLO)
    echo.clear()
    await alexs.call(HELLO)  # a success, and it starts anew
    echo.script(f"status={status}")
    for _ in range(IN_A_ROW - 1):
        await alexs.call(HELLO)
    assert noted._said == []
    await alexs.call(HELLO)
    assert noted.said() == [(SAVED, trouble)]


@pytest.mark.parametrize("status", [400, 404, 408, 409, 413, 422, 500, 503, 529])
async def test_what_the_request_or_the_provider_is_to_blame_for_says_nothing_of_the_key(alexs, noted, echo, status):
    echo.script(f"status={status}")
    for _ in range(2 * IN_A_ROW):
        await alexs.call(HELLO)
    assert noted.said() == []


async def test_a_prompt_that_speaks_of_money_gives_nobody_a_fright(alexs, noted):
    text = "[[status=400]] insufficient_quota: Your credit balance is too low"
    await alexs.call({**HELLO, "messages": [{"role": "user", "content": text}]})
    assert noted.said() == []


async def test_a_key_that_works_has_nothing_said_of_it(alexs, noted):
    await alexs.call(HELLO)
    await alexs.call({**HELLO, "stream": True})
    assert noted.said() == []


async def test_a_success_clears_a_key_that_was_refused(house, noted, echo):
    house.agents[TOKEN] = agent("openai", echo.url("openai"), saved=REFUSED)
    await house.call(HELLO)
    assert noted.said() == [(REFUSED, None)]


async def test_a_key_that_is_known_to_be_refused_is_no_news(house, noted, echo):
    house.agents[TOKEN] = agent("openai", echo.url("openai"), saved=REFUSED)
    echo.script("status=401")
    for _ in range(10):
        await house.call(HELLO)
    assert noted.said() == []


async def test_the_first_keys_trouble_is_seen_although_the_backup_answers(house, noted, echo):
    backup = Target(
        provider="mistral", model="mistral-small-latest", base_url=echo.url("mistral"), key=Secret("k"), saved=SPARE
    )
    house.agents[TOKEN] = agent("openai", echo.url("openai"), saved=SAVED, backup=backup)
    echo.script("status=401", provider="openai")
    assert (await house.call(HELLO)).status == 200
    assert noted.said() == [(SAVED, Trouble.WRONG_KEY)]


async def test_and_the_backups_own_trouble_is_its_own(house, noted, echo):
    backup = Target(
        provider="mistral", model="mistral-small-latest", base_url=echo.url("mistral"), key=Secret("k"), saved=SPARE
    )
    house.agents[TOKEN] = agent("openai", echo.url("openai"), saved=SAVED, backup=backup)
    echo.script("status=500", provider="openai")
    echo.script("error=no_credit", provider="mistral")
    await house.call(HELLO)
    assert noted.said() == [(SPARE, Trouble.NO_CREDIT)]


async def test_our_own_keys_are_the_pools_business(house, noted, echo, settings):
    settings.PROVIDER_BASE_URL = lambda provider, _default: echo.url(provider)
    house.arranged.tier("economy", ("openai", "gpt-4o-mini"))
    house.agents[TOKEN] = on_plan("economy")
    echo.script("status=401")
    await house.call(HELLO)
    assert noted.said() == []


@pytest.mark.parametrize(
    ("provider", "status", "body", "trouble"),
    [
        ("openai", 401, b"", Trouble.WRONG_KEY),
        (
            "openai",
            401,
            b'{"error": {"message": "You have insufficient permissions for this operation."}}',
            "forbidden",
        ),
        ("openai", 429, b'{"error": {"code": "billing_hard_limit_reached"}}', Trouble.NO_CREDIT),
        ("openai", 429, b'{"error": {"code": "rate_limit_exceeded"}}', Trouble.RATE_LIMITED),
        ("openai", 429, b"<html>", Trouble.RATE_LIMITED),
        ("openai", 429, b'{"error": "slow down"}', Trouble.RATE_LIMITED),
        ("openai", 429, b'{"error": {"code": {"a": 1}, "type": [], "message": 1}}', Trouble.RATE_LIMITED),
        ("openai", 400, b'{"error": {"message": "Your credit balance is too low"}}', None),
        ("minimax", 200, b"", None),
        ("minimax", 500, b'{"base_resp": {"status_code": 1008}}', Trouble.NO_CREDIT),
        ("minimax", 401, b'{"base_resp": {"status_code": 2049}}', Trouble.WRONG_KEY),
        ("openai", None, b"", None),
    ],
)
def test_what_an_answer_says_about_the_key(provider, status, body, trouble):
    assert trouble_of(provider=provider, status=status, body=body) == trouble


# --- What becomes of it -------------------------------------------------------------------------


@pytest.fixture
def key(bot):
    """Alex's key at OpenAI, which his Support Bot runs on."""
    return bot.provider_key


def saved(key: ProviderKey) -> SavedKey:
    key.refresh_from_db()
    return SavedKey(id=key.pk, changed_at=key.changed_at, refused=bool(key.trouble))


def test_alex_is_told_once_what_is_wrong_and_what_to_do(alex, bot, key, mailoutbox, settings):
    settings.SITE_URL = "https://vutler.example"
    for _ in range(5):
        key_watch.fails(saved(key), Trouble.NO_CREDIT)
    key.refresh_from_db()
    assert key.trouble == "no_credit"
    [message] = mailoutbox
    assert (message.to, message.subject) == (["alex@alex.example"], "OpenAI refuses your key sk-…wxyz")
    assert key.trouble_said in message.body
    assert "it has no credit left" in message.body
    assert "Support Bot" in message.body
    assert f"https://vutler.example/keys/{key.pk}/" in message.body
    assert "sk-alex" not in message.body
    [(html, kind)] = message.alternatives
    assert (kind, "it has no credit left" in html) == ("text/html", True)


def test_an_agent_with_a_backup_is_not_said_to_be_stuck(alex, bot, key, mailoutbox):
    spare = services.save_key(workspace=alex.workspace, provider="openai", secret="sk-spare-0123456789", by=alex.user)
    backups.set_backup(agent=bot, key=spare, by=alex.user)
    key_watch.fails(saved(key), Trouble.NO_CREDIT)
    assert "Support Bot" not in mailoutbox[0].body


def test_every_owner_is_told_in_their_language_and_nobody_else(alex, key, mailoutbox):
    for name, role, language in (("luc", Role.OWNER, "fr"), ("bea", Role.BILLING, ""), ("mo", Role.MEMBER, "")):
        user = User.objects.create_user(f"{name}@alex.example", PASSWORD, language=language)
        Member.objects.create(workspace=alex.workspace, user=user, role=role)
    key_watch.fails(saved(key), Trouble.WRONG_KEY)
    assert [message.to for message in mailoutbox] == [["alex@alex.example"], ["luc@alex.example"]]
    assert mailoutbox[1].subject == "OpenAI refuse votre clé sk-…wxyz"


def test_a_key_that_works_again_is_cleared_and_one_that_fails_later_is_told_again(key, mailoutbox):
    key_watch.fails(saved(key), Trouble.WRONG_KEY)
    key_watch.works(saved(key))
    key.refresh_from_db()
    assert (key.trouble, key.trouble_since, key.trouble_said) == ("", None, "")
    ProviderKey.objects.update(told_at=timezone.now() - timedelta(hours=2))
    key_watch.fails(saved(key), Trouble.NO_CREDIT)
    assert len(mailoutbox) == 2


def test_whoever_makes_it_fail_and_work_in_turns_sends_one_message_an_hour(key, mailoutbox):
    for _ in range(20):
        key_watch.fails(saved(key), Trouble.WRONG_KEY)
        key_watch.works(saved(key))
    key_watch.fails(saved(key), Trouble.WRONG_KEY)
    tell_of_refused_keys()
    assert len(mailoutbox) == 1
    # Still refused when the hour is over: that is news after all.
    now = timezone.now()
    ProviderKey.objects.update(told_at=now - timedelta(hours=2), trouble_since=now - timedelta(minutes=50))
    tell_of_refused_keys()
    tell_of_refused_keys()
    assert len(mailoutbox) == 2


def test_what_was_replaced_meanwhile_is_not_blamed_for_the_old_one(alex, key, mailoutbox):
    seen = saved(key)
    services.replace_key(key=key, secret="sk-new-0123456789-abcd", by=alex.user)
    key_watch.fails(seen, Trouble.WRONG_KEY)
    key.refresh_from_db()
    assert (key.trouble, len(mailoutbox)) == ("", 0)


def test_a_new_key_in_its_place_is_out_of_trouble(alex, key, mailoutbox):
    key_watch.fails(saved(key), Trouble.WRONG_KEY)
    services.replace_key(key=key, secret="sk-new-0123456789-abcd", by=alex.user)
    assert saved(key).refused is False
    key_watch.fails(saved(key), Trouble.NO_CREDIT)
    assert len(mailoutbox) == 2


def test_a_message_that_cannot_be_sent_is_sent_later(key, mailoutbox, monkeypatch):
    def broken(*_args, **_options):
        raise ConnectionRefusedError

    with monkeypatch.context() as patched:
        patched.setattr("agents.mail.get_connection", broken)
        with pytest.raises(ConnectionRefusedError):
            key_watch.fails(saved(key), Trouble.WRONG_KEY)
    tell_of_refused_keys()
    tell_of_refused_keys()
    assert len(mailoutbox) == 1


@pytest.mark.django_db(transaction=True)
def test_of_eight_processes_that_find_out_at_once_one_writes(key, mailoutbox):
    seen = saved(key)

    def find_out(_number: int) -> None:
        key_watch.fails(seen, Trouble.WRONG_KEY)
        connections.close_all()

    with ThreadPoolExecutor(8) as processes:
        list(processes.map(find_out, range(8)))
    assert len(mailoutbox) == 1


class TestInTheGateway:
    """The real thing: a request is refused, the row says so, the owner has a message; the next success ends it."""

    @pytest.fixture
    def noted(self):
        watch = KeyWatch()
        yield watch
        watch.close()

    @pytest.fixture
    def observers(self, noted):
        return [noted]

    @pytest.fixture
    def seen(self, transactional_db, bot, settings, echo):
        """Alex's agent as the gateway sees it, with its key fine and then refused."""
        settings.PROVIDER_BASE_URL = lambda provider, _default: echo.url(provider)
        fine = snapshot_of(Agent.objects.get(pk=bot.pk), at=timezone.now())
        assert fine.target is not None
        assert fine.target.saved is not None
        refused = msgspec.structs.replace(fine.target.saved, refused=True)
        return fine, msgspec.structs.replace(fine, target=msgspec.structs.replace(fine.target, saved=refused))

    async def test_forty_refusals_are_one_message(self, house, echo, noted, seen, mailoutbox):
        house.agents[TOKEN], house.agents["vtl_agent_later"] = seen
        echo.script("status=401")
        for _ in range(40):
            assert (await house.call(HELLO)).status == 401
        key = noted._thread.submit(ProviderKey.objects.get).result()
        assert (key.trouble, len(mailoutbox)) == ("wrong_key", 1)
        echo.clear()
        assert (await house.call(HELLO, token="vtl_agent_later")).status == 200
        assert noted._thread.submit(ProviderKey.objects.get).result().trouble == ""
