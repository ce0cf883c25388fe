"""What a page about an error shows, to developers with DEBUG and to everybody without."""

import io
import logging

import pytest

KEY = "sk-marmalade-4f1d9c02"
BODY = {"provider": "openai", "api_key": KEY, "name": "Production"}


@pytest.fixture
def broken(monkeypatch) -> None:
    """Saving a key fails, with the key at hand."""

    def save_key(*, secret: str, **_: object) -> None:
        copied = [secret]
        raise RuntimeError(f"{len(copied)} key is in a place where no key belongs")

    monkeypatch.setattr("agents.services.save_key", save_key)


@pytest.fixture
def logged():
    """What is written to the log, as it is."""
    root = logging.getLogger()
    [ours] = [handler for handler in root.handlers if handler.name == "stderr"]
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(ours.formatter)
    root.addHandler(handler)
    yield written
    root.removeHandler(handler)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.usefixtures("broken")
def test_the_key_that_was_being_saved_is_not_on_the_page_nor_in_the_log(alex, settings, logged, debug):
    settings.DEBUG = debug
    client = alex.client()
    client.raise_request_exception = False
    answer = client.post("/keys/new/", BODY, headers={"authorization": f"Bearer {KEY}", "x-api-key": KEY})
    assert answer.status_code == 500
    page = answer.content.decode()
    assert ("no key belongs" in page) == debug
    assert "no key belongs" in logged.getvalue()
    assert KEY not in page
    assert KEY not in logged.getvalue()


@pytest.mark.usefixtures("broken")
def test_developers_see_where_it_broke_and_the_types_of_what_was_there(alex, settings):
    settings.DEBUG = True
    client = alex.client()
    client.raise_request_exception = False
    page = client.post("/keys/new/", BODY).content.decode()
    assert "copied" in page
    assert "&lt;class &#x27;list&#x27;&gt;" in page
    assert "api_key" in page


@pytest.mark.usefixtures("broken")
def test_addresses_with_passwords_are_not_on_the_page(alex, settings):
    settings.DEBUG = True
    settings.METER_MONGODB_URL = f"mongodb://meter:{KEY}@127.0.0.1/meter"
    settings.REDIS_URL = settings.CELERY_BROKER_URL = f"redis://:{KEY}@127.0.0.1:6379/0"
    client = alex.client()
    client.raise_request_exception = False
    page = client.post("/keys/new/", {**BODY, "api_key": "another"}).content.decode()
    assert "METER_MONGODB_URL" in page
    assert KEY not in page
