"""Elena, from sign-up to her agent's first answered request, on the real server with our keys in the pool."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import size_of
from tests.conftest import PASSWORD
from tests.process import GatewayProcess, running_gateway

pytestmark = pytest.mark.process

ARRANGE = """
from llm.models import PoolKey
for provider in ("minimax", "mistral"):
    key = PoolKey(provider=provider, name="tests")
    key.seal(f"sk-pool-{provider}-0123456789")
    key.save()
"""


@pytest.fixture(scope="module")
def server(echo_server, tmp_path_factory) -> Iterator[GatewayProcess]:
    with running_gateway(echo_server, tmp_path_factory.mktemp("server"), HTTPS="false") as gateway:
        gateway.run("shell", "-c", ARRANGE)
        yield gateway


def ask(server: GatewayProcess, token: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    body = json.dumps({"messages": [{"role": "user", "content": "Do you open on Sundays?"}]})
    connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {token}"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def test_elena_is_nine_actions_from_sign_up_to_her_first_answer(server: GatewayProcess, page: Page):
    actions = 0

    def fill(label: str, text: str) -> None:
        nonlocal actions
        actions += 1
        page.get_by_label(label).fill(text)

    def press(role, name: str) -> None:
        nonlocal actions
        actions += 1
        page.get_by_role("main").get_by_role(role, name=name).click()

    page.goto(f"{server.site}/accounts/signup/")
    fill("Email", f"elena-{size_of(page)}@bakery.example")
    fill("Company", "Elena's bakery")
    fill("Password", PASSWORD)
    press("button", "Sign up")
    press("link", "Support email")
    press("button", "Choose a plan")
    press("button", "Continue")
    press("button", "Start Starter")
    expect(page.get_by_role("heading", name="Starter is on.")).to_be_visible()
    token = page.locator("#token").inner_text()

    actions += 1
    answer = ask(server, token)

    assert answer["choices"][0]["message"]["content"] == "You said: Do you open on Sundays?"
    assert actions < 10
    record = server.records(count=1)[-1]
    assert (record.tier, record.mode, record.provider, record.status) == ("economy", "managed", "minimax", "ok")
    assert record.price_total > 0
