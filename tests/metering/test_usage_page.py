"""The month of usage and the records behind it, as pages."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import translation

from agents import services
from metering.store import StoreUnavailable
from metering.store.sql import SqlStore
from metering.templatetags.metering import exact, seconds, tokens, usd
from tests.agents.test_agent_pages import page
from tests.metering.records import FEBRUARY, record, store

MONTH = {"month": "2026-02"}
PRICED: Any = {"cost_input": "0.000188", "cost_output": "0.000228"}


# --- Figures as people read them ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (380, "380"),
        (999, "999"),
        (1_000, "1k"),
        (12_400, "12.4k"),
        (99_949, "99.9k"),
        (999_949, "999.9k"),
        (999_950, "1M"),
        (1_234_567, "1.2M"),
        (3_700_000, "3.7M"),
        (2_000_000_000, "2B"),
    ],
)
def test_tokens_in_short(count, text):
    assert tokens(count) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0"),
        ("0.42", "$0.42"),
        ("0.425", "$0.43"),
        ("0.01", "$0.01"),
        ("0.0099999", "$0.01"),
        ("0.0041666", "$0.004167"),
        ("0.000416", "$0.000416"),
        ("0.000000000001", "$0.000000000001"),
        ("18.5", "$18.50"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_money_never_rounds_to_nothing(amount, text):
    assert usd(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "–"),
        (0, "< 0.01 s"),
        (9, "< 0.01 s"),
        (10, "0.01 s"),
        (412, "0.41 s"),
        (3_210, "3.2 s"),
        (15_304, "15 s"),
        (1_204_000, "1,204 s"),
    ],
)
def test_times_are_in_seconds(ms, text):
    assert seconds(ms) == text


def test_figures_follow_the_readers_language():
    with translation.override("fr"):
        assert tokens(1_234_567) == "1,2M"
        assert seconds(3_210) == "3,2 s"
        assert seconds(2) == "< 0,01 s"
        assert exact(Decimal("0.000416")) == "0,000416"


# --- The month ----------------------------------------------------------------------------------


def test_alex_sees_what_each_agent_used(alex, bot):
    faq = services.create_agent(workspace=alex.workspace, name="FAQ Bot", by=alex.user, provider="mistral")
    store(
        record(bot, tokens_input=900_000, tokens_output=300_000, cost_input="0.135", cost_output="0.180"),
        record(bot, status="provider_error", http_status=500, tokens_input=0, tokens_output=0, **PRICED),
        record(faq, tokens_input=300_000, tokens_output=100_000, **PRICED),
    )
    html = page(alex.client().get("/usage/", MONTH))
    assert "February 2026" in html
    for part in ("Support Bot", "1.2M", "about $0.32 at OpenAI", "FAQ Bot", "400k", "1 failed"):
        assert part in html
    assert html.index("Support Bot") < html.index("FAQ Bot")
    assert '<progress class="meter" max="1200000" value="400000"' in html
    assert "900,000" in html
    assert f'href="/usage/{bot.pk}/?month=2026-02"' in html


def test_what_nobody_knows_is_said_and_never_zero(alex, bot):
    store(record(bot, model="llama-9-preview"))
    html = page(alex.client().get("/usage/", MONTH))
    assert "no price known" in html
    assert "$0" not in html


def test_a_part_without_a_price_is_counted_beside_the_rest(alex, bot):
    store(record(bot, **PRICED), record(bot), record(bot))
    html = " ".join(page(alex.client().get("/usage/", MONTH)).split())
    assert "about $0.000416 at OpenAI</span>, and 2 requests with no price known" in html
    assert "2 more requests have no price known" in html


def test_two_providers_in_a_month_are_not_taken_for_one(alex, bot):
    store(record(bot, **PRICED), record(bot, provider="groq", **PRICED))
    assert "about $0.000832 at your providers" in page(alex.client().get("/usage/", MONTH))


def test_what_managed_agents_cost_us_is_not_shown(alex, bot):
    store(record(bot, mode="managed", tier="economy", **PRICED))
    html = page(alex.client().get("/usage/", MONTH))
    assert "0.000416" not in html
    assert "0.000416" not in page(alex.client().get(f"/usage/{bot.pk}/", MONTH))


def test_a_deleted_agent_keeps_its_line(alex, bot):
    store(record(bot, **PRICED))
    services.delete_agent(agent=bot, by=alex.user)
    html = page(alex.client().get("/usage/", MONTH))
    assert "Support Bot" in html
    assert "(deleted)" in html
    assert "gpt-4o-mini" in page(alex.client().get(f"/usage/{bot.pk}/", MONTH))


def test_a_month_ends_where_the_next_begins(alex, bot):
    store(
        record(bot, at=datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC), tokens_input=111_111),
        record(bot, at=datetime(2026, 2, 1, tzinfo=UTC), tokens_input=222_222),
        record(bot, at=datetime(2026, 3, 1, tzinfo=UTC), tokens_input=333_333),
    )
    html = page(alex.client().get("/usage/", MONTH))
    assert "222,222" in html
    assert "111,111" not in html
    assert "333,333" not in html


def test_one_walks_from_month_to_month_as_far_as_there_is_something(alex, bot):
    store(record(bot, at=datetime(2026, 1, 10, tzinfo=UTC)))
    february = page(alex.client().get("/usage/", MONTH))
    assert 'href="?month=2026-01"' in february
    assert 'href="?month=2026-03"' in february
    assert 'href="?month=2025-12"' not in page(alex.client().get("/usage/", {"month": "2026-01"}))


def test_the_month_is_in_the_readers_language(alex, bot):
    store(record(bot))
    html = page(alex.client().get("/usage/", MONTH, headers={"accept-language": "fr"}))
    assert "Février 2026" in html


def test_empty_months_show_the_next_step(alex, maya, bot):
    assert "Create an agent and send it a request" in page(maya.client().get("/usage/"))
    assert "Nothing used this month yet" in page(alex.client().get("/usage/"))
    assert "Nothing was used in February 2026" in page(alex.client().get("/usage/", MONTH))


@pytest.mark.parametrize("month", ["2026-13", "2026-2", "february", "1999-01", "2026-02-01", "'"])
def test_what_is_no_month_is_not_found(alex, month):
    page(alex.client().get("/usage/", {"month": month}), 404)


def test_while_the_meter_is_away_the_page_says_so(alex, bot, monkeypatch):
    def away(*_args, **_kwargs):
        raise StoreUnavailable

    monkeypatch.setattr(SqlStore, "recent", away)
    monkeypatch.setattr(SqlStore, "records", away)
    assert "nothing is lost" in page(alex.client().get("/usage/"), 503)
    assert "nothing is lost" in page(alex.client().get(f"/usage/{bot.pk}/"), 503)


# --- The records --------------------------------------------------------------------------------


def test_each_request_is_a_line(alex, bot):
    store(
        record(bot, **PRICED, request_type="email", streamed=True, cache_read=200, provenance="partial"),
        record(bot, status="provider_error", http_status=429, model="gpt-9"),
    )
    html = page(alex.client().get(f"/usage/{bot.pk}/", MONTH))
    for part in (
        "16 Feb, 18:00:00",
        "gpt-4o-mini",
        "email",
        "1,250",
        "380",
        "$0.000416",
        "1.2 s",
        "1,200 ms",
        "200 from cache",
    ):
        assert part in html
    for part in ("streamed", "cut short", "Refused by the provider 429", "no price known"):
        assert part in html


def test_older_records_are_a_page_away(alex, bot):
    store(*(record(bot, at=FEBRUARY + timedelta(seconds=n), tokens_input=10_000 + n) for n in range(70)))
    first = page(alex.client().get(f"/usage/{bot.pk}/", MONTH))
    assert "10,069" in first
    assert "10,050" in first
    assert "10,049" not in first
    older = first.split('rel="next"')[-2].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    second = page(alex.client().get(f"/usage/{bot.pk}/{older}"))
    assert "10,049" in second
    assert "10,000" in second
    assert "10,050" not in second


def test_a_made_up_cursor_is_not_found(alex, bot):
    page(alex.client().get(f"/usage/{bot.pk}/", {"cursor": "nonsense"}), 404)


def test_maya_sees_nothing_of_what_alex_used(maya, bot):
    store(record(bot, **PRICED))
    page(maya.client().get(f"/usage/{bot.pk}/", MONTH), 404)
    html = page(maya.client().get("/usage/", MONTH))
    assert "Support Bot" not in html
    assert str(bot.pk) not in html
