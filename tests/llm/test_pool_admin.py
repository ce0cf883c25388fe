"""The staff's pages of Managed: keys that go in and never come out, routes in order, and what would happen now."""

from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from agents import services
from agents.models import Agent, User
from llm import running
from llm.condition import Conditions
from llm.models import PoolKey, Route, StaffAlert
from llm.news import learned
from llm.pool import Outcome, Pool, Way, load
from llm.providers.base import Target
from tests.conftest import PASSWORD, browser_of
from tests.llm.provider_server import provider_server

SECRET = "sk-pool-0123456789-wxyz"
KEYS = reverse("admin:llm_poolkey_changelist")
ADD_KEY = reverse("admin:llm_poolkey_add")
ROUTES = reverse("admin:llm_route_changelist")
DRY_RUN = reverse("admin:llm_dry_run")
MARGINS = reverse("admin:llm_margins")
ALERTS = reverse("admin:llm_staffalert_changelist")


@pytest.fixture
def heard():
    """The keys that the gateway is told work."""
    keys: list[str] = []

    def hear(news, **_signal):
        keys.append(news.key_id)

    learned.connect(hear)
    yield keys
    learned.disconnect(hear)


@pytest.fixture
def gateway(db):
    """The gateway's pool, running in this process."""
    pool = Pool(load=load)
    conditions = Conditions(url="", look=pool.condition)
    running.show(running.Running(pool=pool, conditions=conditions, limits_away=lambda: False))
    yield pool
    running.show(None)
    pool.close()


def add_key(name: str, provider: str, *, weight: int = 1, enabled: bool = True) -> PoolKey:
    key = PoolKey(provider=provider, name=name, weight=weight, enabled=enabled)
    key.seal(SECRET)
    key.save()
    return key


def change(row) -> str:
    return reverse(f"admin:llm_{row._meta.model_name}_change", args=[row.pk])


def said(answer) -> str:
    return " ".join(answer.content.decode().split())


# --- Our keys -----------------------------------------------------------------------------------


def test_a_key_is_pasted_sealed_and_never_shown(staff):
    form = {"provider": "mistral", "name": "Main", "secret": f" {SECRET}\n", "weight": 3, "places": 64, "enabled": "on"}
    assert staff.post(ADD_KEY, form).status_code == 302
    key = PoolKey.objects.get()
    assert (key.open().reveal(), key.hint) == (SECRET, "sk-…wxyz")
    for page in (KEYS, change(key), reverse("admin:llm_poolkey_history", args=[key.pk])):
        shown = said(staff.get(page))
        assert SECRET not in shown
        assert key.sealed_secret not in shown
    assert "sk-…wxyz" in said(staff.get(KEYS))


def test_without_a_key_there_is_nothing_to_save(staff):
    form = {"provider": "mistral", "name": "Main", "weight": 1, "places": 64}
    assert staff.post(ADD_KEY, form).status_code == 200
    assert staff.post(ADD_KEY, {**form, "secret": "with a space"}).status_code == 200
    assert PoolKey.objects.count() == 0


def test_a_saved_key_keeps_its_secret_and_its_provider(staff):
    key = add_key("Main", "mistral")
    form = {"provider": "openai", "name": "First", "secret": "", "weight": 2, "places": 10, "enabled": "on"}
    assert staff.post(change(key), form).status_code == 302
    key.refresh_from_db()
    assert (key.provider, key.name, key.weight, key.open().reveal()) == ("mistral", "First", 2, SECRET)


def test_a_replaced_key_is_used_again_at_once(staff, heard, django_capture_on_commit_callbacks):
    key = add_key("Main", "mistral")
    form = {"name": "Main", "secret": "sk-pool-another-9876543210", "weight": 1, "places": 64, "enabled": "on"}
    with django_capture_on_commit_callbacks(execute=True):
        staff.post(change(key), form)
    key.refresh_from_db()
    assert (key.open().reveal(), heard) == ("sk-pool-another-9876543210", [str(key.pk)])


def test_who_changed_what_is_on_record_without_the_key(staff):
    key = add_key("Main", "mistral")
    staff.post(change(key), {"name": "Main", "secret": "sk-pool-another-9876543210", "weight": 1, "places": 9})
    entry = LogEntry.objects.get()
    assert (entry.user.email, "another" in entry.change_message) == ("staff@vutler.example", False)
    assert "Changed" in said(staff.get(reverse("admin:admin_logentry_changelist")))


def test_the_list_says_how_each_key_does_and_whose_view_that_is(staff, gateway):
    cooling, down = add_key("A", "mistral"), add_key("B", "openai")
    add_key("C", "groq", enabled=False)
    add_key("D", "anthropic")
    assert "this process alone" in said(staff.get(KEYS))
    way = Way(key_id=str(cooling.pk), target=Target(provider="mistral", model="m", base_url="", key=cooling.open()))
    gateway.begin(way, workspace_id="elenas")
    gateway.health.cool(str(cooling.pk), until=gateway._clock() + 42.4, reason="rate limited (429)")
    gateway.health.down(down.provider, until=gateway._clock() + 12.4)
    shown = said(staff.get(KEYS))
    for words in ("Cooling 42 s: rate limited (429)", "Provider in trouble, 12 s", "Off", "Ready", "1 / 64"):
        assert words in shown


def test_the_list_says_how_often_and_how_fast_each_key_answers(staff, gateway):
    key = add_key("Main", "openai")
    way = Way(key_id=str(key.pk), target=Target(provider="openai", model="m", base_url="", key=key.open()))
    shown = said(staff.get(KEYS))
    assert "%" not in shown
    for status, took in ((200, 0.12), (503, 0.01)):
        gateway.begin(way, workspace_id="elenas")
        gateway.leave(way, Outcome(known=True, status=status), workspace_id="elenas", took=took)
    shown = said(staff.get(KEYS))
    assert "90%" in shown
    assert "120 ms" in shown


def test_checking_a_key_says_what_is_wrong_in_plain_words(staff, settings):
    key = add_key("Main", "openai")
    refused: dict[str, tuple[int, object]] = {
        "/models": (401, {"error": {"message": f"Incorrect API key: {SECRET}", "code": "invalid_api_key"}})
    }
    with provider_server(refused) as server:
        settings.PROVIDER_BASE_URL = lambda _provider, _default: server.url
        answer = staff.post(KEYS, {"action": "check_now", "_selected_action": [key.pk]}, follow=True)
    assert "Main sk-…wxyz: OpenAI doesn&#x27;t accept this key." in said(answer)
    assert SECRET not in said(answer)


def test_checking_a_key_that_works_ends_its_cooling(staff, heard, settings):
    key = add_key("Main", "openai")
    works: dict[str, tuple[int, object]] = {
        "/models": (200, {"object": "list", "data": [{"id": "gpt-4o-mini"}]}),
        "/chat/completions": (200, {"choices": [{"message": {"role": "assistant", "content": "H"}}]}),
    }
    with provider_server(works) as server:
        settings.PROVIDER_BASE_URL = lambda _provider, _default: server.url
        answer = staff.post(KEYS, {"action": "check_now", "_selected_action": [key.pk]}, follow=True)
    assert "Main sk-…wxyz: The key works." in said(answer)
    assert heard == [str(key.pk)]


# --- Routes -------------------------------------------------------------------------------------


def test_the_documents_routes_are_there(staff):
    shown = said(staff.get(ROUTES))
    for model in ("MiniMax-M2.5", "mistral-small-latest", "gpt-4o-mini", "claude-haiku-4-5", "gpt-4o"):
        assert model in shown


def order(tier: str) -> list[tuple[int, str]]:
    return list(Route.objects.filter(tier=tier).values_list("position", "model"))


def test_a_new_route_goes_where_it_is_put_and_the_others_make_room(staff):
    form = {"tier": "economy", "place": 1, "provider": "groq", "model": "llama", "enabled": "on"}
    assert staff.post(reverse("admin:llm_route_add"), form).status_code == 302
    assert order("economy") == [(1, "llama"), (2, "MiniMax-M2.5"), (3, "mistral-small-latest")]


def test_a_route_moves_down_and_the_others_move_up(staff):
    first = Route.objects.get(tier="economy", position=1)
    form = {"tier": "economy", "place": 2, "provider": "minimax", "model": "MiniMax-M2.5", "enabled": "on"}
    assert staff.post(change(first), form).status_code == 302
    assert order("economy") == [(1, "mistral-small-latest"), (2, "MiniMax-M2.5")]


# --- Dry run ------------------------------------------------------------------------------------


def test_a_dry_run_says_where_a_request_would_go_and_why_not_elsewhere(staff, gateway):
    main = add_key("Main", "minimax", weight=3)
    add_key("Spare", "minimax")
    add_key("Old", "minimax", enabled=False)
    shown = said(staff.get(DRY_RUN, {"tier": "economy"}))
    assert "Main sk-…wxyz" in shown
    assert "Comes first of its route&#x27;s keys 75 % of the time." in shown
    assert "There is no key for Mistral." in shown
    assert "The key is switched off." in shown
    gateway.health.cool(str(main.pk), until=gateway._clock() + 30.4, reason="refused (402)")
    shown = said(staff.get(DRY_RUN, {"tier": "economy"}))
    assert "Cooling for 30 s more: refused (402)." in shown
    assert shown.index("Spare") < shown.index("Main sk")


def test_a_dry_run_knows_routes_that_are_switched_off_and_keys_that_do_not_open(staff):
    Route.objects.filter(tier="premium", provider="openai").update(enabled=False)
    key = add_key("Broken", "anthropic")
    PoolKey.objects.filter(pk=key.pk).update(provider="anthropic", sealed_secret=add_key("X", "groq").sealed_secret)
    shown = said(staff.get(DRY_RUN, {"tier": "premium"}))
    assert "The route is switched off." in shown
    assert "It can&#x27;t be opened" in shown
    assert "No gateway runs in this process" in shown


def test_an_unknown_tier_shows_the_first(staff):
    assert staff.get(DRY_RUN, {"tier": "<script>"}).status_code == 200


# --- Margins ------------------------------------------------------------------------------------


def test_the_margins_of_llm_strategy_on_its_day(staff):
    shown = said(staff.get(MARGINS, {"on": "2026-02-16"}))
    for words in ("96.1 to 97.3 % left", "88.0 to 98.1 % left", "77.5 to 83.8 % left"):
        assert words in shown
    assert "from 10,333,333 on, for good" in shown


def test_a_day_that_is_none_shows_today(staff):
    assert staff.get(MARGINS, {"on": "yesterday"}).status_code == 200


# --- Sudden use ---------------------------------------------------------------------------------


@pytest.fixture
def alert(elena) -> StaffAlert:
    agent = services.create_agent(workspace=elena.workspace, name="Helpdesk", by=elena.user)
    raised_at = datetime(2026, 2, 16, 12, tzinfo=UTC)
    return StaffAlert.objects.create(agent=agent, raised_at=raised_at, last_hour=850_000, usual_hour=80_000)


def test_staff_see_the_alert_and_pause_the_agent_from_it(staff, alert):
    shown = said(staff.get(ALERTS, {"status": "open"}))
    assert "850,000" in shown
    assert "850,000" in said(staff.get(change(alert)))
    staff.post(ALERTS, {"action": "pause", "_selected_action": [alert.pk]})
    alert.refresh_from_db()
    assert (Agent.objects.get().paused, alert.closed_by) == (True, "staff@vutler.example")


def test_staff_close_an_alert_that_is_nothing(staff, alert):
    staff.post(ALERTS, {"action": "close", "_selected_action": [alert.pk]})
    alert.refresh_from_db()
    assert (Agent.objects.get().paused, alert.closed_at is None) == (False, False)


# --- Who may ------------------------------------------------------------------------------------


def test_whoever_may_only_look_changes_nothing(onlooker, alert):
    key = add_key("Main", "mistral")
    for page in (KEYS, ROUTES, DRY_RUN, MARGINS, ALERTS, change(key), change(Route.objects.first())):
        assert onlooker.get(page).status_code == 200
    assert onlooker.post(change(key), {"name": "Mine"}).status_code == 403
    onlooker.post(ALERTS, {"action": "pause", "_selected_action": [alert.pk]})
    onlooker.post(KEYS, {"action": "check_now", "_selected_action": [key.pk]})
    assert not Agent.objects.get().paused


def test_customers_see_none_of_it(elena):
    for page in (KEYS, ROUTES, DRY_RUN, MARGINS, ALERTS):
        assert elena.client().get(page).status_code == 302


def test_staff_without_the_permission_see_no_margins(db):
    user = User.objects.create_user("new@vutler.example", PASSWORD, is_staff=True)
    assert browser_of(user).get(MARGINS).status_code == 403
