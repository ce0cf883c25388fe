"""``manage.py meter_check``: says yes when journal, records and roll-ups agree, and names the first place where not."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db.models import F

from metering import rollups
from metering.models import DailyUsage, HourlyLatency, HourlyUsage, MonthlyUsage, UsageRecord
from tests.metering.records import FEBRUARY, record, store

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = f"hour {FEBRUARY:%Y-%m-%d %H}:00"


@pytest.fixture(autouse=True)
def journal(settings, tmp_path) -> Path:
    """An empty journal directory."""
    settings.JOURNAL_DIR = tmp_path
    return Path(tmp_path)


def checked() -> str:
    """What the command says when all is well."""
    said = StringIO()
    call_command("meter_check", stdout=said)
    return said.getvalue()


def difference() -> str:
    """What it names when not all is well."""
    with pytest.raises(CommandError) as refused:
        checked()
    return str(refused.value).removeprefix("The first difference:\n")


def test_an_empty_meter_agrees_with_itself():
    assert checked() == "Journal, records and roll-ups agree. Days compared: 0.\n"


def test_what_is_rolled_up_agrees(bot):
    store(record(bot), record(bot, at=FEBRUARY + timedelta(days=2), status="timeout", tier="economy", mode="managed"))
    rollups.roll_up()
    assert checked() == "Journal, records and roll-ups agree. Days compared: 3.\n"


def test_what_is_still_to_be_rolled_up_is_no_difference(bot):
    store(record(bot))
    rollups.roll_up()
    store(record(bot), record(bot, at=FEBRUARY + timedelta(hours=5)))
    assert "agree" in checked()


@pytest.mark.parametrize(
    ("model", "changed", "named"),
    [
        (HourlyUsage, {"tokens_input": 1_249}, "tokens_input is 1,250 by the records, but 1,249 in the roll-up"),
        (HourlyUsage, {"cost_total": 1}, "cost_total is 0.000416 by the records, but 1 in the roll-up"),
        (HourlyLatency, {"requests": 2}, "requests is 1 by the records, but 2 in the roll-up"),
        (DailyUsage, {"requests": 7}, "requests is 1 by the hours, but 7 in the roll-up"),
        (MonthlyUsage, {"tokens_output": 0}, "tokens_output is 380 by the days, but 0 in the roll-up"),
        (MonthlyUsage, {"managed_tokens": 5}, "managed_tokens is 1,630 by the days, but 5 in the roll-up"),
        (MonthlyUsage, {"failed": 5}, "failed is 0 by the days, but 5 in the roll-up"),
    ],
)
def test_a_wrong_figure_is_named(bot, model, changed, named):
    store(record(bot, tier="economy", mode="managed", cost_input="0.000188", cost_output="0.000228"))
    rollups.roll_up()
    model.objects.update(**changed)
    said = difference()
    assert named in said
    assert str(bot.pk) in said


def test_a_line_too_many_and_one_too_few_are_named(bot):
    store(record(bot), record(bot, model="gpt-4o"))
    rollups.roll_up()
    HourlyUsage.objects.filter(model="gpt-4o").update(model="gpt-5")
    assert f"{HOUR} of agent {bot.pk} (byokey, openai, gpt-4o, ok, chat): requests is 1 by the records" in difference()
    rollups.roll_up()
    HourlyUsage.objects.filter(model="gpt-5").delete()
    assert "gpt-4o" in difference()


def test_a_record_that_went_missing_is_named(bot):
    kept, lost = record(bot), record(bot)
    store(kept, lost)
    rollups.roll_up()
    UsageRecord.objects.filter(pk=lost.id)._raw_delete("default")
    assert "requests is 1 by the records, but 2 in the roll-up" in difference()


def test_a_record_that_was_tampered_with_is_named(bot, journal):
    genuine = record(bot)
    store(genuine)
    (journal / "00000000000000000001-1-aaaaaaaa.ready").write_bytes(msgspec.json.encode(genuine) + b"\n")
    assert "agree" in checked()
    UsageRecord.objects.update(tokens_output=F("tokens_output") - 80)
    assert difference() == f"record {genuine.id}: tokens_output is 380 in the journal, but 300 in the store."


def test_what_waits_in_the_journal_is_no_difference_and_what_was_set_aside_is(bot, journal):
    (journal / "00000000000000000001-1-aaaaaaaa.open").write_bytes(msgspec.json.encode(record(bot)) + b"\n")
    assert "agree" in checked()
    (journal / "00000000000000000001-1-bbbbbbbb.bad").write_bytes(b"{}\n{}\n")
    assert "2 set aside" in difference()


def test_a_program_reads_json(bot, capsys):
    store(record(bot))
    rollups.roll_up()
    call_command("meter_check", json=True)
    assert json.loads(capsys.readouterr().out) == {"ok": True, "days": 1, "difference": None}
    HourlyUsage.objects.update(requests=2)
    with pytest.raises(CommandError):
        call_command("meter_check", json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert "requests is 1 by the records" in said["difference"]


@pytest.mark.parametrize("command", ["meter_check", "roll_up"])
def test_a_database_that_is_away_is_said_in_words(command, monkeypatch):
    def away() -> None:
        raise OperationalError

    monkeypatch.setattr(rollups, "watermark", away)
    monkeypatch.setattr(rollups, "record_days", away)
    with pytest.raises(CommandError, match="can't be reached"):
        call_command(command)
