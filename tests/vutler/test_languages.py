"""French is whole, and the reader's choice of a language is remembered."""

import re

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from django.utils import translation
from django.utils.translation import gettext

from agents.catalogue import CUSTOM, ECHO, providers, templates
from agents.models import User
from agents.words import TEXTS
from tests.languages import CATALOGUES

PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")


@pytest.fixture(params=CATALOGUES, ids=lambda path: path.parent.parent.name)
def catalogue(request) -> Catalog:
    with request.param.open("rb") as file:
        return read_po(file)


def texts(message) -> tuple[list[str], list[str]]:
    """Return what is to be translated and its translations, one for each number."""
    ids, strings = (list(each) if isinstance(each, list | tuple) else [each] for each in (message.id, message.string))
    return ids, strings


def test_there_is_french():
    assert [path.parent.parent.name for path in CATALOGUES] == ["fr"]


def test_every_text_is_translated(catalogue):
    lacking = [message.id for message in catalogue if message.id and (message.fuzzy or not all(texts(message)[1]))]
    assert lacking == []


def test_translations_keep_what_is_filled_in(catalogue):
    """A placeholder that is lost would hide an amount; a new one would break the page."""
    for message in catalogue:
        ids, strings = texts(message)
        for string in strings if message.id else []:
            assert set(PLACEHOLDER.findall(string)) == set(PLACEHOLDER.findall(ids[-1])), string


def test_the_catalogues_own_words_are_collected():
    shown = {text for row in templates().values() for text in (row.name, row.description)}
    assert shown | {providers()[CUSTOM].name, providers()[ECHO].name} == set(TEXTS)


def test_french_reaches_the_reader():
    with translation.override("fr"):
        assert gettext("Choose a plan") == "Choisir une formule"


def test_the_choice_is_remembered_by_the_browser_and_for_e_mails(client, elena):
    client = elena.client()
    answer = client.post("/language/", {"language": "fr", "next": "/agents/new/"})
    assert answer["location"] == "/agents/new/"
    assert client.cookies["django_language"]["max-age"] == 31_536_000
    assert "Nouvel agent" in client.get("/agents/new/").content.decode()
    assert User.objects.get(pk=elena.user.pk).language == "fr"


def test_a_language_that_is_not_spoken_here_is_not_remembered(elena):
    elena.client().post("/language/", {"language": "xx", "next": "/"})
    assert User.objects.get(pk=elena.user.pk).language == ""


def test_who_signs_up_in_french_is_written_to_in_french(client, db):
    form = {"email": "elena@bakery.example", "company": "Bakery", "password1": "correct horse battery"}
    client.cookies["django_language"] = "fr"
    client.post("/accounts/signup/", form)
    assert User.objects.get().language == "fr"
