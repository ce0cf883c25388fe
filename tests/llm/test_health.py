"""What an attempt's ending means for keys and providers."""

import pytest

from llm.health import BREAK_AFTER, Health, Meaning, meaning_of


def ended(health: Health, status: int | None, *, now: float = 0.0, key: str = "k1", **more) -> Meaning:
    return health.ended(key_id=key, provider="openai", status=status, now=now, **more)


@pytest.mark.parametrize(
    ("status", "meaning", "moves_on"),
    [
        (200, Meaning.FINE, False),
        (400, Meaning.CALLERS, False),
        (404, Meaning.CALLERS, False),
        (413, Meaning.CALLERS, False),
        (422, Meaning.CALLERS, False),
        (408, Meaning.BUSY, True),
        (409, Meaning.BUSY, True),
        (429, Meaning.RATE_LIMITED, True),
        (401, Meaning.REFUSED, True),
        (402, Meaning.REFUSED, True),
        (403, Meaning.REFUSED, True),
        (500, Meaning.FAULT, True),
        (503, Meaning.FAULT, True),
        (529, Meaning.FAULT, True),
        (None, Meaning.FAULT, True),
    ],
)
def test_each_status_has_one_meaning(status, meaning, moves_on):
    assert meaning_of(status) is meaning
    assert meaning.moves_on is moves_on


def test_a_rate_limited_key_cools_for_as_long_as_the_provider_says():
    health = Health()
    ended(health, 429, now=100.0, retry_after=42.0)
    assert health.key("k1").cooling(141.9)
    assert not health.key("k1").cooling(142.0)


def test_a_rate_limited_key_cools_ten_seconds_where_the_provider_does_not_say():
    health = Health()
    ended(health, 429, now=100.0)
    assert health.key("k1").cooling_until == 110.0


def test_no_provider_can_send_a_key_away_for_a_day():
    health = Health()
    ended(health, 429, now=0.0, retry_after=86_400.0)
    assert health.key("k1").cooling_until == 900.0


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_key_cools_five_minutes_and_the_other_keys_do_not(status):
    health = Health()
    ended(health, status, now=0.0)
    assert health.key("k1").cooling(299.0)
    assert health.key("k1").reason == f"refused ({status})"
    assert not health.key("k2").cooling(0.0)


def test_a_thousand_bad_requests_cool_nothing_and_break_nothing():
    health = Health()
    for _ in range(1_000):
        ended(health, 400)
    assert not health.key("k1").cooling(0.0)
    assert health.key("k1").success_rate == 1.0
    assert health.breaker("openai").lets_through(0.0)


def test_five_faults_in_a_row_open_the_breaker_and_one_request_tries_it_after_fifteen_seconds():
    health = Health()
    for _ in range(BREAK_AFTER - 1):
        ended(health, 500)
    assert health.breaker("openai").lets_through(0.0)
    ended(health, None)
    assert not health.breaker("openai").lets_through(14.9)
    assert health.breaker("openai").lets_through(15.0)
    health.begin(provider="openai")
    assert not health.breaker("openai").lets_through(15.0)
    ended(health, 200, now=16.0)
    assert health.breaker("openai").lets_through(16.0)


def test_a_failed_try_keeps_the_breaker_open():
    health = Health()
    for _ in range(BREAK_AFTER):
        ended(health, 503)
    health.begin(provider="openai")
    ended(health, 503, now=20.0)
    assert not health.breaker("openai").lets_through(34.9)
    assert health.breaker("openai").lets_through(35.0)


def test_a_caller_who_leaves_during_the_try_does_not_close_the_way_for_ever():
    health = Health()
    for _ in range(BREAK_AFTER):
        ended(health, 503)
    health.begin(provider="openai")
    health.abandoned(provider="openai")
    assert health.breaker("openai").lets_through(15.0)


def test_latency_and_success_rate_follow_what_happens():
    health = Health()
    ended(health, 200, latency=2.0)
    assert health.key("k1").latency == 2.0
    ended(health, 200, latency=1.0)
    assert health.key("k1").latency == pytest.approx(1.9)
    ended(health, 500)
    assert health.key("k1").success_rate == pytest.approx(0.9)
