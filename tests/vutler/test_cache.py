"""Processes share what limits guesses; while Redis is away each keeps its own, and people log in all the same."""

import os
from uuid import uuid4

import pytest
from django.core.cache import caches
from django.test import Client

from tests.backends import free_port
from tests.conftest import PASSWORD
from vutler.cache import SharedCache


def cache_at(url: str, *, prefix: str = "test") -> dict[str, dict[str, str]]:
    return {"default": {"BACKEND": "vutler.cache.SharedCache", "LOCATION": url, "KEY_PREFIX": prefix}}


@pytest.fixture
def shared(settings):
    settings.CACHES = cache_at(os.environ["TEST_REDIS_URL"], prefix=str(uuid4()))
    return caches


@pytest.fixture
def away(settings):
    settings.CACHES = cache_at(f"redis://127.0.0.1:{free_port()}/0")
    found = caches["default"]
    assert isinstance(found, SharedCache)
    yield found
    found.own.clear()


def test_two_processes_see_the_same(shared):
    one, other = shared.create_connection("default"), shared.create_connection("default")
    assert one.add("guesses", [1.5, 2.5], timeout=60)
    assert not other.add("guesses", [], timeout=60)
    assert other.get("guesses") == [1.5, 2.5]
    one.set("count", 1)
    assert (other.incr("count"), other.get_many(["guesses", "count"])) == (2, {"guesses": [1.5, 2.5], "count": 2})
    other.delete("guesses")
    assert one.get("guesses", "gone") == "gone"


def test_nothing_that_is_kept_can_run_code(shared):
    with pytest.raises(TypeError):
        shared["default"].set("thing", object())


def test_without_redis_a_process_keeps_its_own(away):
    assert away.add("guesses", [1.5])
    assert (away.add("guesses", []), away.get("guesses"), away.has_key("guesses")) == (False, [1.5], True)


def test_guesses_are_limited_over_all_processes(shared, elena):
    """What is in Redis counts: once it is gone, so is the limit."""
    form = {"login": elena.user.email, "password": "wrong"}

    def refused() -> bool:
        answer = Client().post("/accounts/login/", form).content.decode()
        return "Too many failed login attempts" in answer

    assert [refused() for _ in range(11)] == [*[False] * 10, True]
    redis = shared.create_connection("default")._cache.get_client(None, write=True)
    redis.delete(*redis.keys(f"{shared['default'].key_prefix}:*"))
    assert not refused()


def test_it_never_empties_the_redis_that_jobs_are_in(shared):
    with pytest.raises(RuntimeError, match="more in this Redis"):
        shared["default"].clear()


def test_people_log_in_while_redis_is_away(away, elena):
    answer = Client().post("/accounts/login/", {"login": elena.user.email, "password": PASSWORD})
    assert (answer.status_code, answer["location"]) == (302, "/agents/")
