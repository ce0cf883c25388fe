"""Elena ticks a box, picks a plan and knows what she pays: by mouse, by thumb, by keyboard alone, and in French."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from agents import services, subscriptions
from agents.models import Agent
from tests.browser.conftest import axe, no_horizontal_scroll
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)

Look = Callable[[Page, str], None]
FEBRUARY_16 = datetime(2026, 2, 16, 12, tzinfo=UTC)


@pytest.fixture
def february(time_machine):
    """It is 16 February: 13 of 28 days are left, today included. Time goes on, but it starts there."""
    time_machine.move_to(FEBRUARY_16)


@pytest.fixture
def helpdesk(elena, february):
    return services.create_agent(workspace=elena.workspace, name="Helpdesk", template="support-email", by=elena.user)


@pytest.fixture
def on_pro(elena, helpdesk):
    subscriptions.choose_plan(agent=helpdesk, tier="standard", by=elena.user, at=datetime(2026, 1, 5, tzinfo=UTC))
    services.create_agent_token(agent=helpdesk, by=elena.user)
    return helpdesk


def light(page: Page, scheme: Literal["light", "dark"]) -> None:
    """Turn the lights on or off, and wait until every colour has faded over."""
    page.emulate_media(color_scheme=scheme)
    page.evaluate("Promise.all(document.getAnimations().map(each => each.finished)).then(() => null)")


@pytest.fixture
def look(shot) -> Look:
    def at(page: Page, name: str) -> None:
        no_horizontal_scroll(page)
        axe(page)
        shot(page, name)
        light(page, "dark")
        axe(page)
        shot(page, f"{name}-dark")
        light(page, "light")

    return at


@pytest.fixture
def go(live, page: Page, elena, log_in) -> Callable[[str], Page]:
    """Take Elena, logged in, to an address."""

    def to(path: str) -> Page:
        log_in(page, elena)
        page.goto(live.url + path)
        return page

    return to


class Counted:
    """Counts what a person does: each field filled in, each click."""

    def __init__(self, page: Page) -> None:
        self.page, self.actions = page, 0

    def fill(self, label: str, text: str) -> None:
        self.actions += 1
        self.page.get_by_label(label).fill(text)

    def press(self, role: Literal["button", "link"], name: str) -> None:
        self.actions += 1
        self.page.get_by_role("main").get_by_role(role, name=name).click()


def test_from_sign_up_to_a_plan_and_a_token_in_eight_actions(live, page, look, february):
    elena = Counted(page)
    page.goto(f"{live.url}/accounts/signup/")
    elena.fill("Email", "elena@bakery.example")
    elena.fill("Company", "Elena's bakery")
    elena.fill("Password", PASSWORD)
    elena.press("button", "Sign up")
    look(page, "first-visit")
    elena.press("link", "Support email")
    elena.press("button", "Choose a plan")
    expect(page.get_by_role("radio", name="Starter $5 a month")).to_be_checked()
    expect(page.get_by_text("$2.32 for the rest of February: 13 of 28 days")).to_be_visible()
    look(page, "plans")
    elena.press("button", "Continue")
    expect(page.get_by_text("13 of 28 days, today included")).to_be_visible()
    look(page, "plan-confirm")
    elena.press("button", "Start Starter")
    expect(page.get_by_role("heading", name="Starter is on.")).to_be_visible()
    assert page.locator("#token").inner_text().startswith("vtl_agent_")
    look(page, "plan-started")
    assert elena.actions == 8
    page.get_by_role("link", name="I have copied both").click()
    expect(page.get_by_text("About 3,000 e-mails a month")).to_be_visible()
    look(page, "plan-settings")
    assert Agent.objects.get().tier == "economy"


def test_up_is_at_once(go, on_pro, look):
    page = go(f"/agents/{on_pro.pk}/")
    page.get_by_role("link", name="Change plan").click()
    expect(page.get_by_role("radio", name="Pro $10 a month")).to_be_checked()
    page.get_by_text("Ultra", exact=True).click()
    expect(page.get_by_text("At once: $20 for February instead of $10")).to_be_visible()
    look(page, "plans-change")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("instead of $10")).to_be_visible()
    page.get_by_role("button", name="Change to Ultra").click()
    expect(page.get_by_text("Ultra is on.")).to_be_visible()
    look(page, "plan-settings-upgraded")
    assert on_pro.tier == "premium"


def test_down_waits_for_march_and_can_be_called_off(go, on_pro, look):
    page = go(f"/agents/{on_pro.pk}/plan/")
    page.get_by_text("Starter", exact=True).click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("You keep Pro until February is over. Starter takes over on March 1.")).to_be_visible()
    look(page, "plan-confirm-down")
    page.get_by_role("button", name="Change to Starter").click()
    expect(page.get_by_text("Helpdesk moves to Starter on March 1.")).to_be_visible()
    look(page, "plan-settings-waiting")
    page.get_by_role("link", name="Stay on Pro").click()
    page.get_by_role("button", name="Stay on Pro").click()
    expect(page.get_by_text("Helpdesk stays on Pro.")).to_be_visible()
    assert [stay.tier for stay in on_pro.stays.all()] == ["standard"]


def test_leaving_waits_for_march(go, on_pro, look):
    page = go(f"/agents/{on_pro.pk}/")
    page.get_by_role("link", name="End plan").click()
    expect(page.get_by_text("From March 1 on, Helpdesk answers only with a key of your own.")).to_be_visible()
    look(page, "plan-leave")
    page.get_by_role("button", name="End Pro on March 1").click()
    expect(page.get_by_text("From then on this agent needs a key of your own.")).to_be_visible()
    assert on_pro.tier_at(datetime(2026, 3, 1, tzinfo=UTC)) is None


@pytest.mark.usefixtures("february")
def test_ticking_the_box_turns_the_card_into_plans(live, page, alex, bot, log_in):
    log_in(page, alex)
    page.goto(f"{live.url}/agents/{bot.pk}/")
    page.get_by_label("Use Managed LLM instead").click()
    expect(page.get_by_role("group", name="Choose your plan:")).to_be_visible()
    expect(page.get_by_label("LLM provider")).to_have_count(0)
    expect(page.get_by_label("Use Managed")).to_be_focused()
    assert page.url.endswith("/plan/")
    page.get_by_label("Use Managed").uncheck()
    expect(page.get_by_label("LLM provider")).to_be_visible()


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until what is called so, or has that id, has the focus."""
    for _step in range(40):
        page.keyboard.press("Tab")
        if wanted in page.evaluate("[document.activeElement.textContent.trim(), document.activeElement.id]"):
            return
    pytest.fail(f"no way by keyboard to {wanted!r} on {page.url}")


def test_with_the_keyboard_alone(live, desktop, elena, helpdesk, log_in):
    page = desktop

    def enter(wanted: str, *, leads_to: str) -> None:
        tab_to(page, wanted)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1, name=leads_to, exact=True)).to_be_visible()

    def pick(picked: str, key: str, other: str) -> None:
        tab_to(page, picked)
        page.keyboard.press(key)
        expect(page.get_by_role("radio", name=other)).to_be_checked()

    log_in(page, elena)
    page.goto(f"{live.url}/agents/{helpdesk.pk}/plan/")
    pick("tier-economy", "ArrowDown", "Pro $10 a month")
    enter("Continue", leads_to="Pro for Helpdesk")
    enter("Start Pro", leads_to="Pro is on.")
    enter("I have copied both", leads_to="Helpdesk")

    enter("Change plan", leads_to="Change plan")
    pick("tier-standard", "ArrowDown", "Ultra $20 a month")
    enter("Continue", leads_to="Ultra for Helpdesk")
    enter("Change to Ultra", leads_to="Helpdesk")
    assert helpdesk.tier == "premium"

    enter("Change plan", leads_to="Change plan")
    pick("tier-premium", "ArrowUp", "Pro $10 a month")
    enter("Continue", leads_to="Pro for Helpdesk")
    enter("Change to Pro", leads_to="Helpdesk")
    enter("End plan…", leads_to="End Ultra?")
    enter("End Ultra on March 1", leads_to="Helpdesk")
    assert helpdesk.tier_at(datetime(2026, 3, 1, tzinfo=UTC)) is None


def test_the_limit_is_set(go, on_pro):
    page = go(f"/agents/{on_pro.pk}/")
    limit = page.get_by_label("Monthly limit for extra use")
    expect(limit).to_have_value("10")
    limit.fill("0")
    page.locator(".amount").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Beyond that it stops")).to_be_visible()
    expect(limit).to_have_value("0")


def test_what_is_for_developers_is_folded_away(go, on_pro, look):
    page = go(f"/agents/{on_pro.pk}/")
    requests = page.get_by_label("Requests a minute")
    expect(requests).to_be_hidden()
    page.get_by_text("For developers").click()
    requests.fill("20")
    look(page, "plan-settings-developers")
    page.locator("#pace").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    on_pro.refresh_from_db()
    assert on_pro.requests_per_minute == 20


def test_in_french(go, helpdesk, look):
    page = go(f"/agents/{helpdesk.pk}/plan/")
    page.get_by_text("Your menu").locator("..").click()
    page.get_by_role("button", name="French").click()
    expect(page.get_by_role("radio", name="Starter 5 $ par mois")).to_be_checked()
    look(page, "plans-fr")
    page.get_by_role("button", name="Continuer").click()
    expect(page.get_by_text("13 jours sur 28")).to_be_visible()
    look(page, "plan-confirm-fr")
    page.get_by_role("button", name="Activer Starter").click()
    expect(page.get_by_role("heading", name="Starter est actif.")).to_be_visible()
    look(page, "plan-started-fr")
