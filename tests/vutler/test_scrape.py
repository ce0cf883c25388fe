"""Who may see the figures."""

import pytest
from django.test import Client


@pytest.fixture(autouse=True)
def _somewhere(settings, tmp_path):
    settings.METRICS_DIR = tmp_path / "metrics"
    settings.JOURNAL_DIR = tmp_path / "journal"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1"])
def test_a_neighbour_is_answered(client: Client, address):
    answer = client.get("/metrics", REMOTE_ADDR=address)
    assert answer.status_code == 200
    assert answer["content-type"].startswith("text/plain")
    assert b"\nvutler_processes 0.0\n" in answer.content


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", ""])
def test_a_stranger_isnt(client: Client, address):
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 403


@pytest.mark.parametrize("header", ["x-forwarded-for", "x-real-ip", "forwarded"])
def test_who_comes_through_a_proxy_isnt_a_neighbour(client: Client, header):
    assert client.get("/metrics", REMOTE_ADDR="127.0.0.1", headers={header: "10.0.0.1"}).status_code == 403


def test_where_there_is_a_token_it_decides(client: Client, settings):
    settings.METRICS_TOKEN = "of-prometheus"
    assert client.get("/metrics").status_code == 403
    assert client.get("/metrics", headers={"authorization": "Bearer of-elena"}).status_code == 403
    from_outside = {"authorization": "Bearer of-prometheus", "x-forwarded-for": "8.8.8.8"}
    assert client.get("/metrics", REMOTE_ADDR="8.8.8.8", headers=from_outside).status_code == 200
