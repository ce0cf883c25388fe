"""Thumbs on the page of an agent's requests: for those who may, in their own workspace, and as programs give them."""

import re

import pytest

from agents.models import Member, Role
from llm.feedback import keep, request_of
from llm.models import Feedback
from metering.store import StoreUnavailable
from tests.agents.test_agent_pages import page
from tests.metering.records import FEBRUARY, record, store

ARM = "0199cccc-0000-7000-8000-00000000000a"


@pytest.fixture
def answer(bot) -> str:
    """The id of an answer that Alex's agent got from a side of an experiment."""
    made = record(bot, experiment_arm=ARM, session="00112233aabbccdd")
    store(made)
    return made.id


@pytest.fixture
def listed(bot) -> str:
    """Where that answer is listed."""
    return f"/usage/{bot.pk}/?month=2026-02"


def thumb(person, request_id, given, **more):
    headers = {"hx-request": "true"} if more.pop("by_script", False) else {}
    return person.client().post(f"/usage/requests/{request_id}/thumb/", {"thumb": given, **more}, headers=headers)


def pressed(html: str) -> list[str]:
    return re.findall(r'class="thumb (up|down)"[^>]*aria-pressed="true"', html)


def test_alex_says_what_he_thinks_and_is_back_where_he_was(alex, answer, listed):
    assert pressed(page(alex.client().get(listed))) == []
    said = thumb(alex, answer, "up", next=listed)
    assert (said.status_code, said["location"]) == (302, f"{listed}#thumbs-{answer}")
    [kept] = Feedback.objects.all()
    assert (str(kept.request_id), kept.score, kept.arm, kept.session) == (answer, 1.0, ARM, "00112233aabbccdd")
    assert pressed(page(alex.client().get(listed))) == ["up"]


def test_the_last_word_counts_and_can_be_taken_back(alex, answer, listed):
    thumb(alex, answer, "up")
    thumb(alex, answer, "down")
    assert [each.score for each in Feedback.objects.all()] == [0.0]
    assert pressed(page(alex.client().get(listed))) == ["down"]
    thumb(alex, answer, "none")
    assert not Feedback.objects.exists()
    assert pressed(page(alex.client().get(listed))) == []


def test_with_a_script_the_thumbs_alone_are_drawn_again(alex, answer, listed):
    drawn = page(thumb(alex, answer, "down", by_script=True, next=listed))
    assert drawn.lstrip().startswith(f'<form class="thumbs" id="thumbs-{answer}"')
    assert (pressed(drawn), f'name="next" value="{listed}"' in drawn) == (["down"], True)


def test_what_a_program_said_is_shown(alex, answer, listed):
    made = request_of(answer)
    assert made is not None
    keep(made, score=0.8, at=FEBRUARY)
    html = page(alex.client().get(listed))
    assert (pressed(html), ">80%<" in html) == ([], True)


def test_what_got_no_answer_is_not_asked_about(alex, bot, listed):
    store(record(bot, status="timeout"))
    html = page(alex.client().get(listed))
    assert ("No answer in time" in html, "Good answer" in html) == (True, False)


def test_of_anothers_answer_there_is_nothing_to_say(answer, stefan):
    for given in ("up", "none"):
        assert thumb(stefan, answer, given).status_code == 404
    assert not Feedback.objects.exists()


def test_who_sees_to_billing_only_is_not_asked(alex, maya, answer, listed):
    Member.objects.filter(user=maya.user).delete()
    Member.objects.create(workspace=alex.workspace, user=maya.user, role=Role.BILLING)
    assert "thumb" not in page(maya.client().get(listed))
    assert thumb(maya, answer, "up").status_code == 403
    assert not Feedback.objects.exists()


@pytest.mark.parametrize("given", ["", "sideways", "1"])
def test_what_is_no_thumb_is_refused(alex, answer, given):
    assert thumb(alex, answer, given).status_code == 400
    assert not Feedback.objects.exists()


def test_nobody_is_sent_elsewhere(alex, bot, answer):
    for elsewhere in ("https://evil.example/", "//evil.example/", "javascript:alert(1)", ""):
        assert thumb(alex, answer, "up", next=elsewhere)["location"] == f"/usage/{bot.pk}/#thumbs-{answer}"


def test_a_link_alone_says_nothing(alex, client, answer):
    assert alex.client().get(f"/usage/requests/{answer}/thumb/").status_code == 405
    assert client.post(f"/usage/requests/{answer}/thumb/", {"thumb": "up"}).status_code == 302
    assert not Feedback.objects.exists()


def test_of_what_is_no_request_neither_and_while_the_meter_is_away_that_is_said(alex, answer, monkeypatch):
    assert thumb(alex, "0190aaaa-0000-7000-8000-00000000000a", "up").status_code == 404

    def away(self, ids):
        raise StoreUnavailable

    monkeypatch.setattr("metering.store.sql.SqlStore.find", away)
    assert "nothing is lost" in page(thumb(alex, answer, "up"), 503)


def test_fifty_answers_cost_one_look(alex, bot, listed, django_assert_max_num_queries):
    store(*(record(bot) for _each in range(50)))
    client = alex.client()
    page(client.get(listed))
    with django_assert_max_num_queries(25) as queries:
        page(client.get(listed))
    assert sum("llm_feedback" in each["sql"] for each in queries.captured_queries) == 1


def test_in_french(alex, answer, listed):
    html = page(alex.client().get(listed, headers={"accept-language": "fr"}))
    assert ("Bonne réponse" in html, "Mauvaise réponse" in html, ">Avis<" in html) == (True, True, True)
