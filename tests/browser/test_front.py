"""What somebody who isn't logged in sees."""

import pytest

from tests.browser.conftest import axe, no_horizontal_scroll


@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"])
def test_the_doors_are_open_to_everybody_on_any_width(live, page, path, shot):
    page.goto(live.url + path)
    no_horizontal_scroll(page)
    axe(page)
    shot(page, path.strip("/").replace("/", "-") or "front")
