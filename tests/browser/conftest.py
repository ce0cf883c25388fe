"""Chromium, on a desktop and on a phone, at pages served by a thread of the test's own process.

Playwright's synchronous interface keeps an event loop running in the main thread, where Django then refuses to
touch the database, and pytest-asyncio to run its own. So it lives no longer than a module (the next module's tests
may be asynchronous), and Django is told that here it's all right.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from tests.conftest import Person

DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
# How long things take says more about the machine than about the pages (milliseconds).
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this directory, and keep each module's tests on one worker: they share its browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.fail("there is no Chromium on this machine: `make test` installs it")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def live(live_server):
    """The pages at an address of their own, on the test's database. (The gateway isn't there: see tests/flows.)"""
    return live_server


class Trouble(list[str]):
    """What the browser complained of: errors in the console, refused by the policy, or thrown by a script."""

    def watch(self, page: Page) -> None:
        page.on("console", lambda said: self.append(f"{page.url}: {said.text}") if said.type == "error" else None)
        page.on("pageerror", lambda error: self.append(f"{page.url}: {error}"))

    def forgive(self, pattern: str) -> None:
        """Drop the complaints that match: a test that provokes a 404 gets one in the console too."""
        self[:] = [each for each in self if not re.search(pattern, each)]


@pytest.fixture
def trouble() -> Iterator[Trouble]:
    found = Trouble()
    yield found
    assert found == []


@pytest.fixture
def new_context(chromium: Browser, trouble: Trouble) -> Iterator[Callable[..., BrowserContext]]:
    """Open browsers that don't know each other; whatever goes wrong in any of them fails the test."""
    contexts: list[BrowserContext] = []

    def make(viewport: ViewportSize, *, phone: bool = False) -> BrowserContext:
        context = chromium.new_context(
            viewport=viewport, has_touch=phone, is_mobile=phone, device_scale_factor=2 if phone else 1, locale="en-GB"
        )
        context.set_default_timeout(PATIENCE)
        context.on("page", trouble.watch)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def desktop(new_context: Callable[..., BrowserContext]) -> Page:
    """A page of 1280 by 800."""
    return new_context(DESKTOP).new_page()


@pytest.fixture
def phone(new_context: Callable[..., BrowserContext]) -> Page:
    """A page of 390 by 844, for thumbs."""
    return new_context(PHONE, phone=True).new_page()


@pytest.fixture(params=["desktop", "phone"])
def page(request: pytest.FixtureRequest) -> Page:
    """Both of them, one after the other."""
    found: Page = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def log_in(live) -> Callable[[Page, Person], None]:
    """Give the page somebody's session, without the form."""

    def give(page: Page, person: Person) -> None:
        session = person.client().cookies["sessionid"].value
        page.context.add_cookies([{"name": "sessionid", "value": session, "url": live.url}])

    return give


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Keep a picture in the directory that SHOTS names, if it does: ``usage-phone.png``."""

    def take(page: Page, name: str) -> None:
        directory = os.environ.get("SHOTS")
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
            # To hide the caret Playwright would write a style into the page, which the policy refuses.
            page.screenshot(path=Path(directory) / f"{name}-{size_of(page)}.png", full_page=True, caret="initial")

    return take


def size_of(page: Page) -> str:
    """Say which of the two it is: ``desktop`` or ``phone``."""
    return "phone" if page.viewport_size == PHONE else "desktop"


def no_horizontal_scroll(page: Page) -> None:
    """Nothing sticks out of the window on the right."""
    page.wait_for_load_state()
    wide, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window, f"{page.url} is {wide} wide in a window of {window}"


def axe(page: Page, *, within: str | None = None) -> None:
    """Nobody is shut out, or even slowed down: axe finds nothing (in a part of the page, where the rest isn't ours)."""
    found = [
        f"{each['id']} ({each['impact']}): {node['html'][:200]}"
        for each in Axe().run(page, context=within).response["violations"]
        for node in each["nodes"]
    ]
    assert found == [], f"{page.url}: " + "\n".join(found)
