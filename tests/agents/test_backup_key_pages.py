"""Naming a backup key and meeting a refused one, on the pages and in the management API."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from agents import backups, services, subscriptions
from agents.changes import agents_changed
from agents.models import AuditEntry, Member, ProviderKey, Role, User
from agents.trouble import Trouble, say_trouble
from tests.agents.program import program_of
from tests.agents.test_agent_pages import page
from tests.conftest import PASSWORD, Person

SECRET = "ms-0123456789-backup-abcd"


@pytest.fixture
def spare(alex) -> ProviderKey:
    """Alex's key at Mistral, which nothing runs on."""
    return services.save_key(workspace=alex.workspace, provider="mistral", secret=SECRET, by=alex.user, name="Spare")


@pytest.fixture
def backed_up(alex, bot, spare):
    """Alex's agent with a backup."""
    backups.set_backup(agent=bot, key=spare, model="mistral-small-latest", by=alex.user)
    return bot


@pytest.fixture
def announced():
    """The agents that the gateway was told to look up anew."""
    heard: list[str] = []

    def hear(agent_ids, **_signal):
        heard.extend(agent_ids)

    agents_changed.connect(hear)
    yield heard
    agents_changed.disconnect(hear)


def choose(person, agent, key, model=""):
    form = {"backup_key": str(key.pk) if key else "", "backup_model": model}
    return person.client().post(f"/agents/{agent.pk}/backup/", form)


# --- On the agent's page ------------------------------------------------------------------------


def test_alex_names_a_backup_and_sees_its_hint_alone(alex, bot, spare, announced, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        assert choose(alex, bot, spare, "mistral-small-latest").status_code == 302
    bot.refresh_from_db()
    assert (bot.backup_key, bot.backup_model) == (spare, "mistral-small-latest")
    assert announced == [str(bot.pk)]
    html = page(alex.client().get(f"/agents/{bot.pk}/"))
    assert "Mistral · Spare · ms-…abcd" in html
    assert SECRET not in html
    entry = AuditEntry.objects.get(action="backup.chosen")
    assert entry.sentence == "gave the agent Support Bot the backup key Spare ms-…abcd"


def test_and_takes_it_back(alex, backed_up, announced, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        choose(alex, backed_up, None)
    backed_up.refresh_from_db()
    assert (backed_up.backup_key, backed_up.backup_model) == (None, "")
    assert announced == [str(backed_up.pk)]
    assert AuditEntry.objects.filter(action="backup.dropped").count() == 1


def test_another_provider_needs_a_model_of_its_own(alex, bot, spare):
    assert "Name a model that Mistral has." in page(choose(alex, bot, spare), 422)
    bot.refresh_from_db()
    assert bot.backup_key is None


def test_a_second_account_at_the_same_provider_needs_none(alex, bot):
    second = services.save_key(workspace=alex.workspace, provider="openai", secret="sk-second-0123456789", by="test")
    assert choose(alex, bot, second).status_code == 302
    bot.refresh_from_db()
    assert (bot.backup_key, bot.backup_model) == (second, "")


def test_the_agents_own_key_is_not_on_offer(alex, bot, spare):
    assert choose(alex, bot, bot.provider_key).status_code == 422
    html = page(alex.client().get(f"/agents/{bot.pk}/"))
    assert html.count("sk-…wxyz") == 1


def test_without_another_key_the_page_says_where_to_add_one(alex, bot):
    html = page(alex.client().get(f"/agents/{bot.pk}/"))
    assert "You have no other key saved." in html


def test_elena_on_her_plan_meets_no_backup(elena):
    mine = services.create_agent(workspace=elena.workspace, name="FAQ", by=elena.user)
    subscriptions.choose_plan(agent=mine, tier="economy", by=elena.user, at=timezone.now())
    assert "Backup" not in page(elena.client().get(f"/agents/{mine.pk}/"))


def test_who_sees_to_the_bills_names_none(alex, bot, spare):
    user = User.objects.create_user("bea@alex.example", PASSWORD)
    Member.objects.create(workspace=alex.workspace, user=user, role=Role.BILLING)
    assert choose(Person(user=user, workspace=alex.workspace), bot, spare, "m").status_code == 403
    bot.refresh_from_db()
    assert bot.backup_key is None


def test_somebody_elses_agent_is_not_there(stefan, bot, spare):
    assert choose(stefan, bot, spare, "m").status_code == 404


def test_somebody_elses_key_is_no_backup(stefan, spare):
    mine = services.create_agent(workspace=stefan.workspace, name="Desk", by=stefan.user)
    assert choose(stefan, mine, spare, "mistral-small-latest").status_code == 422
    mine.refresh_from_db()
    assert mine.backup_key is None


def test_a_backup_that_becomes_the_first_key_is_no_backup_any_more(alex, backed_up, spare):
    services.use_key(agent=backed_up, key=spare, by=alex.user)
    backed_up.refresh_from_db()
    assert (backed_up.provider_key, backed_up.backup_key) == (spare, None)


@pytest.mark.parametrize("change", ["replace", "delete"])
def test_what_happens_to_the_backup_is_told_to_the_gateway(
    backed_up, spare, announced, django_capture_on_commit_callbacks, change
):
    with django_capture_on_commit_callbacks(execute=True):
        if change == "replace":
            services.replace_key(key=spare, secret="ms-new-0123456789-abcd", by="test")
        else:
            services.delete_key(key=spare, by="test")
    assert announced == [str(backed_up.pk)]


def test_the_keys_say_whose_backup_they_are(alex, backed_up, spare):
    html = page(alex.client().get("/keys/"))
    assert "Not used" not in html
    assert "Backup of" in page(alex.client().get(f"/keys/{spare.pk}/"))


# --- In the API ---------------------------------------------------------------------------------


def test_a_program_names_a_backup_changes_its_model_and_takes_it_back(alex, bot, spare):
    program = program_of(alex)
    answer = program.patch(f"agents/{bot.pk}/", {"backup_key": str(spare.pk), "backup_model": "mistral-small-latest"})
    shown = answer.json()
    assert (shown["backup_key"], shown["backup_key_hint"]) == (str(spare.pk), "ms-…abcd")
    assert SECRET not in answer.content.decode()
    assert program.patch(f"agents/{bot.pk}/", {"backup_model": "m2"}).json()["backup_model"] == "m2"
    assert program.patch(f"agents/{bot.pk}/", {"name": "Bot"}).json()["backup_key"] == str(spare.pk)
    taken = program.patch(f"agents/{bot.pk}/", {"backup_key": None}).json()
    assert (taken["backup_key"], taken["backup_key_hint"], taken["backup_model"]) == (None, "", "")


def test_an_agent_is_created_with_its_backup(alex, bot, spare):
    answer = program_of(alex).post(
        "agents/",
        {"name": "Second", "key": str(bot.provider_key_id), "backup_key": str(spare.pk), "backup_model": "m"},
    )
    assert (answer.status_code, answer.json()["backup_key"]) == (201, str(spare.pk))


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"backup_key": "0199aaaa-0000-7000-8000-00000000000f"}, "backup_key"),
        ({"backup_model": "m"}, "backup_key"),
        ({"backup_key": None, "backup_model": "m"}, "backup_key"),
        ({"backup_key": "nonsense"}, "backup_key"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(alex, bot, fields, wrong):
    answer = program_of(alex).patch(f"agents/{bot.pk}/", fields)
    assert (answer.status_code, list(answer.json())) == (400, [wrong])


def test_a_program_cannot_name_somebody_elses_key(stefan, spare):
    mine = services.create_agent(workspace=stefan.workspace, name="Desk", by=stefan.user)
    answer = program_of(stefan).patch(f"agents/{mine.pk}/", {"backup_key": str(spare.pk), "backup_model": "m"})
    assert (answer.status_code, answer.json()) == (400, {"backup_key": ["There is no such key."]})
    mine.refresh_from_db()
    assert mine.backup_key is None


# --- A key that is refused ----------------------------------------------------------------------


@pytest.fixture
def refused(bot):
    """Alex's key since its account is empty."""
    ProviderKey.objects.filter(pk=bot.provider_key_id).update(trouble=Trouble.NO_CREDIT, trouble_since=timezone.now())
    bot.refresh_from_db()
    return bot.provider_key


@pytest.mark.parametrize("path", ["/agents/{agent}/", "/keys/", "/keys/{key}/"])
def test_pages_say_what_is_wrong_with_it(alex, bot, refused, path):
    html = page(alex.client().get(path.format(agent=bot.pk, key=refused.pk)))
    assert refused.trouble_said in html
    assert "OpenAI has refused this key since" in html


def test_the_list_of_agents_says_it_in_two_words(alex, refused):
    assert "Key refused" in page(alex.client().get("/agents/"))


def test_programs_read_it_too(alex, bot, refused):
    program = program_of(alex)
    assert program.get(f"agents/{bot.pk}/").json()["key_trouble"] == "no_credit"
    shown = program.get(f"keys/{refused.pk}/").json()
    assert (shown["trouble"], shown["trouble_detail"]) == ("no_credit", refused.trouble_said)
    assert shown["trouble_since"]


def test_on_a_plan_ones_own_key_is_nobodys_worry(alex, bot, refused):
    subscriptions.choose_plan(agent=bot, tier="economy", by=alex.user, at=timezone.now())
    assert refused.trouble_said not in page(alex.client().get(f"/agents/{bot.pk}/"))


def test_a_trouble_of_another_day_names_the_day():
    since = datetime(2026, 2, 16, 10, 42, tzinfo=UTC)
    said = say_trouble(Trouble.WRONG_KEY, provider="custom", since=since)
    assert said == "Your server has refused this key since February 16, 10:42 UTC: it isn't valid any more."
