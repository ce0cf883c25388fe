"""Static files go out whole, under ASGI as anywhere, without a word of warning in the log."""

import pytest
from django.test import AsyncClient

APP = "/static/css/app.css"


@pytest.fixture(autouse=True)
def _as_they_lie_in_the_tree(settings):
    settings.WHITENOISE_AUTOREFRESH = settings.WHITENOISE_USE_FINDERS = True


async def test_a_file_is_whole_and_says_what_it_is():
    answer = await AsyncClient().get(APP)
    assert (answer.status_code, answer.streaming, answer["content-type"]) == (200, False, 'text/css; charset="utf-8"')
    assert len(answer.content) == int(answer["content-length"]) > 1_000


async def test_what_the_browser_has_is_not_sent_again():
    changed = (await AsyncClient().get(APP))["last-modified"]
    answer = await AsyncClient().get(APP, headers={"if-modified-since": changed})
    assert (answer.status_code, answer.content, "content-type" in answer.headers) == (304, b"", False)


async def test_a_part_is_that_part():
    whole = (await AsyncClient().get(APP)).content
    answer = await AsyncClient().get(APP, headers={"range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, whole[10:20])


async def test_its_head_alone_has_no_body():
    answer = await AsyncClient().head(APP)
    assert (answer.status_code, answer.content) == (200, b"")
