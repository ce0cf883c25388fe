"""What a load balancer learns."""

import os

from django.test import Client

from llm import running
from llm.condition import Conditions
from llm.pool import Arrangement, Pool
from metering.store import mongo_client
from tests.backends import free_port, mongodb


def test_a_process_that_is_up_says_so_without_looking_at_anything(client: Client):
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok")


def test_a_server_with_all_its_parts_is_ready(client: Client, db, settings):
    settings.REDIS_URL = os.environ["TEST_REDIS_URL"]
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "database": "ok", "journal": "ok", "redis": "ok", "limits": "ok"}


def test_without_redis_in_the_environment_nobody_asks_for_it(client: Client, db):
    assert client.get("/readyz").json() == {"ready": True, "database": "ok", "journal": "ok"}


def test_a_server_that_lost_redis_goes_on_and_says_who_keeps_the_limits(client: Client, db, settings):
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "database": "ok",
        "journal": "ok",
        "redis": "can't be reached: ConnectionError",
        "limits": "kept by each process for itself, until Redis is back",
    }


def test_a_gateway_that_has_not_gone_back_to_redis_yet_says_so(client: Client, db, settings):
    settings.REDIS_URL = os.environ["TEST_REDIS_URL"]
    pool = Pool(load=lambda: Arrangement(routes={}, keys=(), secrets={}))
    conditions = Conditions(url="", look=pool.condition)
    running.show(running.Running(pool=pool, conditions=conditions, limits_away=lambda: True))
    said = client.get("/readyz").json()
    running.show(None)
    assert (said["ready"], said["redis"]) == (True, "ok")
    assert said["limits"] == "kept by each process for itself, until Redis is back"


def test_a_server_that_cannot_write_its_journal_is_not_ready(client: Client, db, settings, tmp_path):
    (tmp_path / "taken").write_text("a file where the directory should be")
    settings.JOURNAL_DIR = tmp_path / "taken"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "database": "ok", "journal": "can't be written: FileExistsError"}


def test_a_server_whose_meter_is_in_mongodb_asks_it(client: Client, db, settings):
    settings.METER_MONGODB_URL = mongodb().url("health")
    assert client.get("/readyz").json() == {"ready": True, "database": "ok", "journal": "ok", "meter_database": "ok"}
    settings.METER_MONGODB_URL = f"mongodb://meter:secret@127.0.0.1:{free_port()}/away?serverSelectionTimeoutMS=50"
    answer = client.get("/readyz")
    mongo_client.close()
    assert answer.status_code == 503
    assert answer.json()["meter_database"] == "can't be reached: ServerSelectionTimeoutError"
