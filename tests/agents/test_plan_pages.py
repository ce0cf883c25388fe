"""Elena's pages: no technical word on them, in either language, and nothing starts before she has agreed to it."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from agents import services, subscriptions
from agents.catalogue import providers
from agents.models import Agent, AgentToken, Member, PlanStay, Role, User
from tests.conftest import PASSWORD, Person

FEBRUARY_16 = datetime(2026, 2, 16, 12, tzinfo=UTC)
TECHNICAL = [
    "token price",
    "price per token",
    "API key",
    "clé API",
    "clé d'API",
    "LLM",
    "provider",
    "fournisseur",
    "SDK",
]
NAMES = [
    *(each.name for each in providers().values() if each.name not in {"Custom"}),
    *(model for each in providers().values() for model in each.models),
    *("GPT", "Claude", "Haiku", "Sonnet", "Llama", "Gemini"),
]


@pytest.fixture(autouse=True)
def february(time_machine):
    time_machine.move_to(FEBRUARY_16, tick=False)
    return time_machine


@pytest.fixture
def helpdesk(elena) -> Agent:
    return services.create_agent(workspace=elena.workspace, name="Helpdesk", template="support-email", by=elena.user)


@pytest.fixture
def on_pro(elena, helpdesk):
    subscriptions.choose_plan(agent=helpdesk, tier="standard", by=elena.user, at=datetime(2026, 1, 5, tzinfo=UTC))
    return helpdesk


class Words(HTMLParser):
    """What of a page a person reads, hears or is shown on hovering."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag, attrs):
        self._silent += tag in {"script", "style"}
        self.said += [value or "" for name, value in attrs if name in {"aria-label", "title", "placeholder", "alt"}]

    def handle_endtag(self, tag):
        self._silent -= tag in {"script", "style"}

    def handle_data(self, data):
        if not self._silent:
            self.said.append(data)


def words(response, status=200) -> str:
    assert response.status_code == status, response.content.decode()[:2000]
    reader = Words()
    reader.feed(response.content.decode())
    return " ".join(" ".join(reader.said).split())


def agree(client, agent, tier, **extra):
    """See what a plan comes to, and agree to it."""
    url = f"/agents/{agent.pk}/plan/confirm/"
    shown = client.get(url, {"tier": tier}).content.decode()
    agreed = re.search(r'name="agreed" value="([^"]+)"', shown)
    assert agreed
    return client.post(url, {"tier": tier, "agreed": agreed[1], **extra})


# --- Words --------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_technical_word_is_on_elenas_path(client, elena, language):
    client.cookies["django_language"] = language
    seen = {"front": words(client.get("/")), "sign-up": words(client.get("/accounts/signup/"))}
    client = elena.client()
    client.cookies["django_language"] = language
    seen["first visit"] = words(client.get("/agents/"))
    seen["new agent"] = words(client.get("/agents/new/?template=support-email"))
    created = client.post("/agents/new/", {"template": "support-email", "managed": "1"})
    agent = Agent.objects.get()
    assert created["location"] == f"/agents/{agent.pk}/plan/"
    seen["plans"] = words(client.get(created["location"]))
    seen["confirm"] = words(client.get(f"/agents/{agent.pk}/plan/confirm/?tier=economy"))
    seen["started"] = words(agree(client, agent, "economy"))
    seen["settings"] = words(client.get(f"/agents/{agent.pk}/"))
    seen["another token"] = words(client.post(f"/agents/{agent.pk}/tokens/"))
    seen["list"] = words(client.get("/agents/"))
    for tier in ("premium", "standard"):
        seen[f"plans, then {tier}"] = words(client.get(f"/agents/{agent.pk}/plan/"))
        seen[f"confirm {tier}"] = words(client.get(f"/agents/{agent.pk}/plan/confirm/?tier={tier}"))
        agree(client, agent, tier)
        seen[f"settings with {tier}"] = words(client.get(f"/agents/{agent.pk}/"))
    seen["limit"] = words(client.post(f"/agents/{agent.pk}/plan/limit/", {"limit": "-1"}), 422)
    seen["leave"] = words(client.get(f"/agents/{agent.pk}/plan/leave/"))
    seen["delete"] = words(client.get(f"/agents/{agent.pk}/delete/"))
    for page, text in seen.items():
        found = [word for word in [*TECHNICAL, *NAMES] if re.search(rf"\b{re.escape(word)}", text, re.IGNORECASE)]
        assert found == [], f"{page}: {text}"


def test_the_cards_are_the_documents_second_drawing_in_elenas_units(elena, helpdesk):
    text = words(elena.client().get(f"/agents/{helpdesk.pk}/plan/"))
    for part in (
        "Use Managed",
        "Choose your plan:",
        "Starter $5 a month",
        "Fast & affordable. Perfect for simple tasks (FAQ, email replies).",
        "Pro $10 a month",
        "Smarter responses. Great for content, research, analysis.",
        "Ultra $20 a month",
        "Most powerful. For complex tasks (coding, deep research, strategy).",
        "Right for this agent Starter",
        "Popular Pro",
        "About 3,000 e-mails a month",
        "Beyond that, about $0.13 for every 100 e-mails",
        "Never more than $5 extra a month, unless you raise it",
        "$2.32 for the rest of February: 13 of 28 days",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("template", "usual", "included"),
    [
        ("content-writer", "60 articles", "About 250 articles a month"),
        ("research-agent", "40 research reports", "About 100 research reports a month"),
        ("coding-assistant", "120 coding sessions", "About 400 coding sessions a month"),
        ("faq-bot", "300 questions", "About 4,000 questions a month"),
    ],
)
def test_every_template_counts_in_its_own_unit(elena, template, usual, included):
    agent = services.create_agent(workspace=elena.workspace, name="Bot", template=template, by=elena.user)
    text = words(elena.client().get(f"/agents/{agent.pk}/plan/"))
    assert f"usually handle about {usual} a month" in text
    assert included in text


def test_an_agent_that_started_from_nothing_counts_answers(elena):
    agent = services.create_agent(workspace=elena.workspace, name="Bot", by=elena.user)
    text = words(elena.client().get(f"/agents/{agent.pk}/plan/"))
    assert "About 5,000 answers a month" in text
    assert "Right for this agent" not in text


@pytest.mark.parametrize("month", [3, 7, 9])
def test_french_elides_before_a_vowel(elena, helpdesk, february, month):
    february.move_to(datetime(2026, month, 16, 12, tzinfo=UTC), tick=False)
    client = elena.client()
    client.cookies["django_language"] = "fr"
    text = words(client.get(f"/agents/{helpdesk.pk}/plan/confirm/?tier=economy"))
    text += words(agree(client, helpdesk, "economy"))
    text += words(client.get(f"/agents/{helpdesk.pk}/plan/leave/"))
    assert not re.search(r"\b([dl]e|que) (avril|août|octobre)", text)


# --- Agreeing -----------------------------------------------------------------------------------


def test_elena_sees_what_she_pays_agrees_and_gets_her_token(elena, helpdesk):
    client = elena.client()
    text = words(client.get(f"/agents/{helpdesk.pk}/plan/confirm/?tier=economy"))
    assert "February 13 of 28 days, today included $2.32 From March on Starter, every month $5" in text
    assert not PlanStay.objects.exists()
    started = agree(client, helpdesk, "economy")
    assert "Starter is on." in words(started)
    assert "vtl_agent_" in started.content.decode()
    assert "no-store" in started["cache-control"]
    assert helpdesk.tier == "economy"
    assert "About 3,000 e-mails a month" in words(client.get(f"/agents/{helpdesk.pk}/"))


def test_who_has_a_token_already_goes_on_to_the_agent(elena, helpdesk):
    services.create_agent_token(agent=helpdesk, by=elena.user)
    assert agree(elena.client(), helpdesk, "economy")["location"] == f"/agents/{helpdesk.pk}/"
    assert AgentToken.objects.count() == 1


def test_up_and_down_and_away_say_what_changes_when(elena, on_pro):
    client, url = elena.client(), f"/agents/{on_pro.pk}/plan"
    up = words(client.get(f"{url}/confirm/?tier=premium"))
    assert "February instead of $10 $20 From March on Ultra, every month $20" in up
    down = words(client.get(f"{url}/confirm/?tier=economy"))
    assert "You keep Pro until February is over. Starter takes over on March 1." in down
    assert "February Pro, as before $10 From March on Starter, every month $5" in down
    away = words(client.get(f"{url}/leave/"))
    assert "From March 1 on, Helpdesk answers only with a key of your own." in away
    assert "February Pro, as before $10 From March on no plan $0" in away


def test_an_upgrade_in_the_first_month_keeps_the_day_of_joining(elena, helpdesk, february):
    client = elena.client()
    agree(client, helpdesk, "economy")
    february.move_to(datetime(2026, 2, 20, 12, tzinfo=UTC), tick=False)
    text = words(client.get(f"/agents/{helpdesk.pk}/plan/confirm/?tier=standard"))
    assert "February instead of $2.32, for 13 of 28 days $4.64 From March on Pro, every month $10" in text


def test_nothing_is_done_that_was_not_shown(elena, helpdesk, february):
    client, url = elena.client(), f"/agents/{helpdesk.pk}/plan/confirm/"
    shown = client.get(url, {"tier": "economy"}).content.decode()
    agreed = re.search(r'name="agreed" value="([^"]+)"', shown)
    assert agreed
    february.move_to(datetime(2026, 3, 1, tzinfo=UTC), tick=False)
    text = words(client.post(url, {"tier": "economy", "agreed": agreed[1]}), 409)
    assert "Something changed in the meantime." in text
    assert "March the whole month $5" in text
    words(client.post(url, {"tier": "economy"}), 409)
    assert not PlanStay.objects.exists()


def test_agreeing_twice_is_once(elena, on_pro):
    client, url = elena.client(), f"/agents/{on_pro.pk}/plan/confirm/"
    shown = client.get(url, {"tier": "premium"}).content.decode()
    agreed = re.search(r'name="agreed" value="([^"]+)"', shown)
    assert agreed
    for _click in range(2):
        client.post(url, {"tier": "premium", "agreed": agreed[1]})
    assert [stay.tier for stay in on_pro.stays.all()] == ["standard", "premium"]


def test_a_plan_that_is_none(elena, helpdesk):
    for path in ("plan/confirm/?tier=platinum", "plan/confirm/", "plan/leave/"):
        response = elena.client().get(f"/agents/{helpdesk.pk}/{path}")
        assert response.status_code == 302


# --- The settings -------------------------------------------------------------------------------


def test_leaving_is_announced_and_can_be_called_off(elena, on_pro):
    client, url = elena.client(), f"/agents/{on_pro.pk}/"
    subscriptions.leave_managed(agent=on_pro, by=elena.user, at=FEBRUARY_16)
    text = words(client.get(url))
    assert "Ends on March 1. From then on this agent needs a key of your own." in text
    assert "API key" not in text
    assert "API key" in words(client.get(f"{url}?own"))
    agree(client, on_pro, "standard")
    assert "Ends on" not in words(client.get(url))


def test_the_box_without_a_script(alex, bot):
    response = alex.client().post(f"/agents/{bot.pk}/", {"managed": "1"})
    assert response["location"] == f"/agents/{bot.pk}/plan/"


@pytest.mark.parametrize(
    ("typed", "kept", "says"),
    [
        ("25", Decimal("25.00"), "Never more than $25 extra a month"),
        ("0", Decimal("0.00"), "Beyond that it stops"),
        ("10", None, "Never more than $10 extra a month"),
    ],
)
def test_the_limit_for_extra_use(elena, on_pro, typed, kept, says):
    client = elena.client()
    client.post(f"/agents/{on_pro.pk}/plan/limit/", {"limit": typed})
    on_pro.refresh_from_db()
    assert on_pro.overage_ceiling == kept
    assert says in words(client.get(f"/agents/{on_pro.pk}/"))


# --- Others -------------------------------------------------------------------------------------

PLACES = ["plan/", "plan/confirm/?tier=economy", "plan/leave/"]


def test_to_maya_elenas_plans_are_not_there(maya, on_pro):
    for place in PLACES:
        assert maya.client().get(f"/agents/{on_pro.pk}/{place}").status_code == 404
    assert maya.client().post(f"/agents/{on_pro.pk}/plan/confirm/", {"tier": "premium"}).status_code == 404
    assert maya.client().post(f"/agents/{on_pro.pk}/plan/limit/", {"limit": "1"}).status_code == 404
    assert on_pro.tier == "standard"


def test_who_sees_to_the_bills_reads_the_plan_and_cannot_change_it(elena, on_pro):
    user = User.objects.create_user("bea@elena.example", PASSWORD)
    Member.objects.create(workspace=elena.workspace, user=user, role=Role.BILLING)
    client = Person(user=user, workspace=elena.workspace).client()
    text = words(client.get(f"/agents/{on_pro.pk}/"))
    assert "Pro $10 a month" in text
    assert "Change plan" not in text
    assert client.get(f"/agents/{on_pro.pk}/plan/").status_code == 403
    assert client.post(f"/agents/{on_pro.pk}/plan/limit/", {"limit": "1"}).status_code == 403
