"""The pages of saved keys."""

import pytest

from agents import backups, services
from agents.models import Member, ProviderKey, Role, User
from tests.agents.test_agent_pages import page
from tests.conftest import PASSWORD, Person

SECRET = "sk-alex-0123456789-wxyz"
PASTED = "sk-pasted-9876543210-abcd"


@pytest.fixture
def key(bot):
    """Alex's key, which his Support Bot runs on."""
    return bot.provider_key


def test_a_first_visit_shows_the_next_step(maya):
    assert "Save your first key" in page(maya.client().get("/keys/"))


def test_the_list_says_who_uses_which(alex, key):
    services.save_key(workspace=alex.workspace, provider="mistral", secret=PASTED, by=alex.user, name="Spare")
    html = page(alex.client().get("/keys/"))
    for part in ("sk-…wxyz", "Support Bot", "Spare", "Mistral", "Not used"):
        assert part in html
    assert SECRET not in html


def test_alex_saves_a_key(alex):
    form = {"provider": "openai", "api_key": PASTED, "name": "Production"}
    html = page(alex.client().post("/keys/new/", form, follow=True))
    key = ProviderKey.objects.get()
    assert (key.name, key.hint, key.open().reveal()) == ("Production", "sk-…abcd", PASTED)
    assert PASTED not in html


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"provider": "openai", "api_key": ""}, "Paste the key that your provider gave you."),
        ({"provider": "openai", "api_key": f"{PASTED} x"}, "doesn&#x27;t look like a key"),
        ({"provider": "custom", "api_key": PASTED}, "Give the address of your endpoint"),
        ({"provider": PASTED, "api_key": PASTED}, "There is no such provider."),
        ({"provider": "openai", "api_key": PASTED * 200}, "at most 4096"),
    ],
)
def test_what_is_wrong_is_said_and_the_key_not_shown_again(alex, form, said):
    html = page(alex.client().post("/keys/new/", form), 422)
    assert said in html
    assert PASTED not in html
    assert not ProviderKey.objects.exists()


def test_alex_renames_his_key(alex, key):
    alex.client().post(f"/keys/{key.pk}/rename/", {"name": "Production"})
    key.refresh_from_db()
    assert key.name == "Production"


def test_alex_replaces_the_secret_and_every_agent_goes_on(alex, key, bot):
    html = page(alex.client().post(f"/keys/{key.pk}/replace/", {"api_key": PASTED}, follow=True))
    key.refresh_from_db()
    bot.refresh_from_db()
    assert (key.hint, bot.provider_key_id) == ("sk-…abcd", key.pk)
    assert PASTED not in html


def test_replacing_with_nothing_keeps_the_old_one(alex, key):
    page(alex.client().post(f"/keys/{key.pk}/replace/", {"api_key": ""}), 422)
    key.refresh_from_db()
    assert key.open().reveal() == SECRET


def test_a_custom_key_moves_only_together_with_its_secret(alex):
    key = services.save_key(
        workspace=alex.workspace, provider="custom", secret=SECRET, base_url="https://a.example/v1", by=alex.user
    )
    alex.client().post(f"/keys/{key.pk}/replace/", {"api_key": PASTED, "base_url": "https://b.example/v1"})
    key.refresh_from_db()
    assert (key.base_url, key.open().reveal()) == ("https://b.example/v1", PASTED)


def test_deleting_names_the_agents_that_are_left_without(alex, key, bot):
    html = page(alex.client().get(f"/keys/{key.pk}/delete/"))
    assert "Support Bot" in html
    assert ProviderKey.objects.exists()
    alex.client().post(f"/keys/{key.pk}/delete/")
    bot.refresh_from_db()
    assert bot.provider_key is None


def test_deleting_names_the_agents_that_it_backs_up(alex, key, bot):
    other = services.save_key(workspace=alex.workspace, provider="mistral", secret=PASTED, by=alex.user)
    backups.set_backup(agent=bot, key=other, model="mistral-small-latest", by=alex.user)
    html = page(alex.client().get(f"/keys/{other.pk}/delete/"))
    assert "It is the backup of this agent, which has none from then on:" in html
    assert "Support Bot" in html


DEEDS = ["rename/", "replace/", "delete/", "check/"]


@pytest.mark.parametrize("place", ["", "delete/"])
def test_to_maya_alexs_key_is_not_there(maya, key, place):
    page(maya.client().get(f"/keys/{key.pk}/{place}"), 404)


@pytest.mark.parametrize("deed", DEEDS)
def test_maya_cannot_touch_alexs_key(maya, key, deed):
    page(maya.client().post(f"/keys/{key.pk}/{deed}", {"name": "Mine", "api_key": PASTED}), 404)
    key.refresh_from_db()
    assert (key.name, key.open().reveal()) == ("", SECRET)


@pytest.mark.parametrize("deed", DEEDS)
def test_who_sees_to_the_bills_cannot_change_a_key(alex, key, deed):
    user = User.objects.create_user("bea@alex.example", PASSWORD)
    Member.objects.create(workspace=alex.workspace, user=user, role=Role.BILLING)
    bea = Person(user=user, workspace=alex.workspace)
    page(bea.client().post(f"/keys/{key.pk}/{deed}", {"name": "Mine", "api_key": PASTED}), 403)
    key.refresh_from_db()
    assert (key.name, key.open().reveal()) == ("", SECRET)
