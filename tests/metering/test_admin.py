"""The staff's view of the meter."""

from datetime import datetime

from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents import services
from metering.models import UsageRecord
from tests.metering.records import FEBRUARY, record, store

LIST = "/admin/metering/usagerecord/"


def shown(answer) -> list[str]:
    return [str(each.pk) for each in answer.context["cl"].result_list]


def test_records_are_looked_at_and_nothing_else(staff, bot):
    stored = record(bot, cost_input="0.000188", cost_output="0.000228")
    store(stored, record(bot))
    said = staff.get(LIST).content.decode()
    assert "$0.000416" in said
    assert "unknown" in said  # what the other cost
    assert staff.get(f"{LIST}{stored.id}/change/").status_code == 200
    assert staff.post(f"{LIST}{stored.id}/change/", {"tokens_input": 1}).status_code == 403
    assert staff.post(f"{LIST}{stored.id}/delete/", {"post": "yes"}).status_code == 403
    assert staff.get(f"{LIST}add/").status_code == 403
    staff.post(LIST, {"action": "delete_selected", "_selected_action": [stored.id]})
    assert UsageRecord.objects.count() == 2


def test_a_page_is_read_without_counting_the_rest(staff, bot):
    store(*(record(bot, at=FEBRUARY.replace(minute=minute)) for minute in range(60)))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        first = shown(staff.get(LIST))
    about_records = [query["sql"] for query in queries if "metering_usagerecord" in query["sql"]]
    assert len(about_records) == 1
    assert "COUNT" not in about_records[0]
    assert "LIMIT 50" in about_records[0]
    assert len(first) == 50
    assert len(shown(staff.get(LIST, {"p": 2}))) == 10


def test_the_newest_come_by_an_index(staff, bot):
    store(*(record(bot) for _ in range(500)))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE metering_usagerecord")
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = UsageRecord.objects.order_by("-timestamp", "-id")[:50].explain()
    assert "timestamp_id_idx" in plan  # each month's part of records_by_time
    assert "Seq Scan" not in plan


def test_a_whole_id_is_found(staff, alex, maya, bot):
    other = services.create_agent(workspace=maya.workspace, name="Other", by=maya.user)
    mine, another = record(bot), record(other)
    store(mine, another)
    for wanted in (mine.id, mine.id.upper(), f" {bot.pk} ", alex.workspace.pk):
        assert shown(staff.get(LIST, {"q": wanted})) == [mine.id]
    for wanted in ("openai", mine.id[:8], "%"):
        assert shown(staff.get(LIST, {"q": wanted})) == []


def test_records_are_filtered(staff, bot):
    refused = record(bot, status="provider_error", http_status=429, at=datetime.fromisoformat("2026-02-01T00:00:00Z"))
    store(record(bot), refused)
    assert shown(staff.get(LIST, {"status": "provider_error"})) == [refused.id]
    assert shown(staff.get(LIST, {"provider": "groq"})) == []
    assert shown(
        staff.get(LIST, {"timestamp__gte": "2026-02-01 00:00:00+00:00", "timestamp__lt": "2026-02-02 00:00:00+00:00"})
    ) == [refused.id]
