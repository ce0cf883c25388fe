"""Maya starts an experiment where her comparison ended, sees it to its end, and adopts the winner."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from agents import services
from llm.experiments import results
from llm.models import Experiment, Feedback
from tests.browser.conftest import DESKTOP, PHONE, axe, no_horizontal_scroll
from tests.metering.records import record, store

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def helper(maya):
    """Maya's agent, on gpt-4o with a key of hers."""
    agent = services.create_agent(workspace=maya.workspace, name="Helper", by=maya.user, model="gpt-4o")
    key = services.save_key(workspace=maya.workspace, provider="openai", secret="sk-maya-0123456789-wxyz", by=maya.user)
    services.use_key(agent=agent, key=key, by=maya.user)
    return agent


@pytest.fixture
def look(shot) -> Callable[[Page, str], None]:
    """Look at a page on both sizes, in the light and in the dark."""

    def at(page: Page, name: str) -> None:
        for size in (PHONE, DESKTOP):
            page.set_viewport_size(size)
            no_horizontal_scroll(page)
            axe(page)
            shot(page, name)
        page.emulate_media(color_scheme="dark")
        page.evaluate("Promise.all(document.getAnimations().map(each => each.finished)).then(() => null)")
        axe(page)
        shot(page, f"{name}-dark")
        page.emulate_media(color_scheme="light")
        page.evaluate("Promise.all(document.getAnimations().map(each => each.finished)).then(() => null)")

    return at


def a_day(agent, experiment: Experiment, *, day: int, sessions: int) -> None:
    """A day's conversations: the second side costs three fifths of what the first one does."""
    chance = random.Random(day)
    made = []
    at = experiment.started_at + timedelta(days=day, hours=1)
    for arm, cost in zip(experiment.arms.all(), (0.010, 0.006), strict=True):
        for session in range(sessions):
            for _request in range(chance.randint(1, 3)):
                spent = str(round(cost * chance.lognormvariate(0, 0.5), 9))
                tried = chance.randint(700, 1_700)
                fields = {"latency_ms": tried, "status": "ok" if chance.random() < 0.98 else "timeout"}
                name = f"{day:08x}{session:08x}"
                made.append(
                    record(
                        agent,
                        at=at,
                        cost_input=spent,
                        cost_output="0",
                        experiment_arm=str(arm.pk),
                        session=name,
                        **fields,
                    )
                )
    store(*made)
    results.look(experiment, at=at)


@pytest.fixture
def mayas(desktop: Page, log_in, maya) -> Page:
    log_in(desktop, maya)
    return desktop


def test_an_experiment_from_its_beginning_to_the_winners_adoption(live, mayas, helper, look):
    desktop = mayas
    desktop.goto(f"{live.url}/experiments/")
    expect(desktop.get_by_role("heading", name="Try it on real conversations")).to_be_visible()
    look(desktop, "experiments-empty")

    key = helper.provider_key_id
    desktop.goto(f"{live.url}/experiments/new/?agent={helper.pk}&arm={key}:&arm={key}:gpt-4o-mini")
    second = desktop.get_by_role("group", name="Side B")
    expect(second.get_by_label("Model")).to_have_value("gpt-4o-mini")
    look(desktop, "experiments-new")
    desktop.get_by_role("button", name="Begin").click()
    expect(desktop.get_by_role("heading", name="Too early to say")).to_be_visible()
    look(desktop, "experiments-begun")

    experiment = Experiment.objects.get()
    Experiment.objects.update(started_at=timezone.now() - timedelta(days=6))
    experiment.refresh_from_db()
    for day in range(6):
        a_day(helper, experiment, day=day, sessions=60)
    desktop.reload()
    expect(desktop.get_by_role("heading", name="gpt-4o-mini is")).to_contain_text("cheaper; we are more than 99% sure")
    desktop.get_by_text("As a table").click()
    expect(desktop.get_by_role("row", name="360")).to_have_count(1 + 2)
    look(desktop, "experiments-decided")

    desktop.get_by_role("button", name="Pause").click()
    expect(desktop.get_by_text("Paused")).to_be_visible()
    desktop.get_by_role("button", name="Resume").click()
    desktop.get_by_role("button", name="Adopt gpt-4o-mini").click()
    dialog = desktop.get_by_role("dialog", name="Adopt gpt-4o-mini?")
    expect(dialog).to_contain_text("From now on Helper is answered by gpt-4o-mini")
    look(desktop, "experiments-adopt")
    dialog.get_by_role("button", name="Adopt").click()
    expect(desktop.get_by_text("You adopted gpt-4o-mini.")).to_be_visible()
    look(desktop, "experiments-over")
    helper.refresh_from_db()
    assert helper.model == "gpt-4o-mini"
    desktop.goto(f"{live.url}/experiments/")
    expect(desktop.get_by_text("adopted: gpt-4o-mini")).to_be_visible()
    look(desktop, "experiments-list")


def test_what_she_thinks_of_an_answer_is_one_click_by_mouse_or_keyboard(live, mayas, helper, look):
    store(*(record(helper, at=timezone.now(), cost_input="0.0031", cost_output="0.0038") for _three in "abc"))
    store(record(helper, at=timezone.now() - timedelta(hours=1), status="timeout"))
    mayas.goto(f"{live.url}/usage/{helper.pk}/")
    good = mayas.get_by_role("button", name="Good answer").first
    bad = mayas.get_by_role("button", name="Bad answer").first
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    expect(good).to_be_focused()
    mayas.keyboard.press("Tab")
    mayas.keyboard.press("Enter")
    expect(bad).to_have_attribute("aria-pressed", "true")
    expect(good).to_have_attribute("aria-pressed", "false")
    mayas.get_by_role("button", name="Good answer").nth(1).click()
    expect(mayas.locator(".thumb[aria-pressed=true]")).to_have_count(2)
    look(mayas, "usage-thumbs")
    mayas.keyboard.press("Enter")
    expect(mayas.locator(".thumb[aria-pressed=true]")).to_have_count(1)
    assert [each.score for each in Feedback.objects.all()] == [0.0]
