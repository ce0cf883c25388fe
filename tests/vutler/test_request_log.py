"""Each page has an id, in the answer and on every line about it."""

import logging

import pytest
import structlog
from django.test import AsyncClient, Client
from structlog.testing import capture_logs

from vutler.logs import render_exception


def test_an_answer_names_its_request(client: Client, db):
    first, second = client.get("/"), client.get("/")
    assert len(first["x-request-id"]) == 36
    assert first["x-request-id"] != second["x-request-id"]


def test_a_proxys_id_is_taken_over(client: Client, db):
    assert client.get("/healthz", headers={"x-request-id": "lb-0123456789"})["x-request-id"] == "lb-0123456789"


@pytest.mark.parametrize("given", ["", "short", "x" * 65, 'a"b\nc-0123456789', "<script>alert(1)"])
def test_what_is_no_id_is_not(client: Client, given):
    assert client.get("/healthz", headers={"x-request-id": given})["x-request-id"] != given


async def test_in_the_event_loop_too(async_client: AsyncClient):
    answer = await async_client.get("/healthz", headers={"x-request-id": "lb-0123456789"})
    assert answer["x-request-id"] == "lb-0123456789"


@pytest.mark.django_db
def test_a_page_is_a_line_with_its_route_and_not_its_path(client: Client):
    """The path of a password's reset lets in whoever has it."""
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        client.get("/accounts/password/reset/key/1-secret-token/", headers={"x-request-id": "lb-0123456789"})
    [line] = [line for line in lines if line["event"] == "page"]
    assert line["request_id"] == "lb-0123456789"
    assert "secret-token" not in str(lines)
    assert (line["method"], line["http_status"]) == ("GET", 200)


def test_the_watchmans_rounds_arent_news(client: Client):
    with capture_logs() as lines:
        client.get("/healthz")
    assert lines == []


def test_the_next_request_has_nothing_of_the_last(client: Client):
    first = client.get("/healthz")["x-request-id"]
    structlog.contextvars.bind_contextvars(left="behind")
    second = client.get("/healthz")["x-request-id"]
    assert structlog.contextvars.get_contextvars() == {"request_id": second}
    assert first != second


def error_with_a_prompt() -> str:
    empty: dict[str, str] = {}
    try:
        try:
            return empty["my secret plan"]
        except KeyError as error:
            raise ValueError("invalid literal: 'my secret plan'") from error
    except ValueError:
        return str(render_exception(logging.getLogger(), "error", {"logger": "llm.asgi", "exc_info": True}))


def test_an_error_of_the_gateway_is_logged_without_its_words():
    said = error_with_a_prompt()
    assert "my secret plan" not in said
    assert "in error_with_a_prompt" in said
    assert "builtins.ValueError\\ncaused by" in said
    assert said.count("KeyError") == 1
