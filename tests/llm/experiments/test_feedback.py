"""``POST /v1/feedback``: what somebody thought of an answer, from the agent that got it and from nobody else."""

import asyncio

import msgspec
import pytest
from django.db import connections
from django.utils import timezone

from llm.models import Feedback
from llm.snapshot import snapshot_of
from metering.models import UsageRecord
from tests.llm.gateway import TOKEN
from tests.metering.records import record, store

STRANGERS = "vtl_agent_of-stefan"
PATH = "/v1/feedback"
SOME = "0190aaaa-0000-7000-8000-00000000000a"


async def feedback() -> list[Feedback]:
    """What has been kept, read over a connection that is gone afterwards."""

    def read():
        try:
            return list(Feedback.objects.all())
        finally:
            connections.close_all()

    return await asyncio.to_thread(read)


@pytest.fixture
def answered(bot, house, echo, settings, transactional_db):
    """The record of an answer that Alex's agent got from a side of an experiment."""
    settings.PROVIDER_BASE_URL = lambda provider, _default: echo.url(provider)
    house.agents[TOKEN] = snapshot_of(bot, at=timezone.now())
    made = record(bot, experiment_arm="0199cccc-0000-7000-8000-00000000000a", session="00112233aabbccdd")
    store(made)
    return made.id


async def test_a_score_is_kept_with_the_side_that_answered(house, answered):
    taken = await house.call({"request_id": answered, "score": 0.8, "label": "polite"}, path=PATH)
    assert (taken.status, taken.json()) == (200, {"request_id": answered, "score": 0.8, "label": "polite"})
    [kept] = await feedback()
    assert (str(kept.request_id), kept.score, kept.label) == (answered, 0.8, "polite")
    assert (kept.arm, kept.session) == ("0199cccc-0000-7000-8000-00000000000a", "00112233aabbccdd")


async def test_the_last_word_counts_and_no_record_is_made_of_it(house, answered):
    for thought, score in (({"thumbs": "up"}, 1.0), ({"thumbs": "down"}, 0.0), ({"score": 0.5}, 0.5)):
        taken = await house.call({"request_id": answered, **thought}, path=PATH)
        assert taken.json()["score"] == score
    assert [each.score for each in await feedback()] == [0.5]
    assert await house.records() == []


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({}, "score"),
        ({"score": 0.5, "thumbs": "up"}, "score"),
        ({"score": 1.01}, "score"),
        ({"score": -1}, "score"),
        ({"score": True}, "score"),
        ({"score": "1"}, "score"),
        ({"thumbs": "sideways"}, "thumbs"),
        ({"score": 1, "label": "x" * 41}, "label"),
        ({"score": 1, "label": "a\u0000b"}, "label"),
        ({"score": 1, "request_id": 7}, "request_id"),
        ({"score": 1, "request_id": "x" * 65}, "request_id"),
    ],
)
async def test_what_is_no_feedback_is_refused_with_its_field(house, given, param):
    refused = await house.call({"request_id": SOME, **given}, path=PATH)
    assert (refused.status, refused.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("score", [b"NaN", b"Infinity", b"1e999"])
async def test_what_is_no_number_is_refused(house, score):
    body = b'{"request_id":"%b","score":%b}' % (SOME.encode(), score)
    assert (await house.call(body, path=PATH)).status == 400


async def test_of_anothers_request_there_is_nothing_to_say(house, answered, stefan):
    stranger = msgspec.structs.replace(house.agents[TOKEN], agent_id="0199dddd-0000-7000-8000-00000000000d")
    house.agents[STRANGERS] = stranger
    refused = await house.call({"request_id": answered, "score": 0.0}, path=PATH, token=STRANGERS)
    assert (refused.status, refused.json()["error"]["code"]) == (404, "not_found")
    unknown = await house.call({"request_id": SOME, "score": 0.0}, path=PATH, token=STRANGERS)
    same = [each.json()["error"]["message"].split("no request")[0] for each in (refused, unknown)]
    assert same[0] == same[1]
    assert await feedback() == []


@pytest.mark.parametrize("request_id", ["", "x", "' OR 1=1", "٣" * 32 + "x"])
async def test_of_what_is_no_request_neither(house, request_id):
    assert (await house.call({"request_id": request_id, "score": 1}, path=PATH)).status == 404


async def test_without_a_valid_token_nothing_is_taken(house):
    for token in (None, "vtl_agent_nobody"):
        assert (await house.call({"request_id": SOME, "score": 1}, path=PATH, token=token)).status == 401


async def test_feedback_ahead_of_its_record_waits_for_it(house, bot, answered, monkeypatch):
    late = record(bot)
    looks = []

    def find_and_then_store(self, ids):
        looks.append(ids)
        if len(looks) == 2:
            store(late)
        return list(UsageRecord.objects.filter(id__in=ids))

    monkeypatch.setattr("metering.store.sql.SqlStore.find", find_and_then_store)
    # A paused agent's answers are still worth something.
    house.agents[TOKEN] = msgspec.structs.replace(house.agents[TOKEN], paused=True)
    taken = await house.call({"request_id": late.id, "thumbs": "up"}, path=PATH)
    assert (taken.status, len(looks)) == (200, 2)
