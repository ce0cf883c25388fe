"""The way to MongoDB: one client a process, what it waits for and how much, and errors that name nothing."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pymongo
from pymongo import ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError

from metering.store.base import StoreUnavailable
from metering.store.mongo_documents import CODEC, Document

RECORDS: Final = "token_meter"
ORDER: Final = "token_meter_order"

# Milliseconds, unless the URL has its own.
USUAL: Final = {"connectTimeoutMS": 5_000, "serverSelectionTimeoutMS": 5_000}
ANSWER: Final = "socketTimeoutMS"
SOON: Final = 10_000  # for whoever stores, or has a page to show
LATE: Final = 600_000  # for whoever adds up months of records, or indexes them
# Written for good, or not at all: neither a power cut nor a change of primary takes back what was confirmed.
CONFIRMED: Final = WriteConcern(w="majority", j=True)


def records(url: str, *, patient: bool = False) -> Collection[Document]:
    """Return the collection of the records; ``patient``, for commands that may take minutes."""
    return _collection(url, RECORDS, LATE if patient else SOON)


def order(url: str) -> Collection[Document]:
    """Return the collection whose one document says how far records are numbered."""
    return _collection(url, ORDER, SOON)


def ping(url: str) -> None:
    """Ask whether anybody is there.

    Raises:
        StoreUnavailable: when nobody answers.
    """
    with reachable():
        records(url).database.command("ping")


@contextmanager
def reachable() -> Iterator[None]:
    """Let what is asked here be answered.

    Raises:
        StoreUnavailable: for whatever goes wrong, by the kind of error alone: its words hold addresses and documents.
    """
    try:
        yield
    except PyMongoError as error:
        raise StoreUnavailable(_kind(error)) from None


def close() -> None:
    """Let go of every connection of this process."""
    with _lock:
        while _clients:
            _clients.popitem()[1].close()


_lock = threading.Lock()
# By address, patience and process: a connection isn't shared with a child.
_clients: dict[tuple[str, int, int], "pymongo.MongoClient[Document]"] = {}


def _client(url: str, answer: int) -> "pymongo.MongoClient[Document]":
    key = url, answer, os.getpid()
    with _lock:
        if key not in _clients:
            asked = {name.lower() for name, _value in parse_qsl(urlsplit(url).query)}
            usual = {**USUAL, ANSWER: answer}
            options: dict[str, Any] = {name: value for name, value in usual.items() if name.lower() not in asked}
            _clients[key] = pymongo.MongoClient(url, **options)
        return _clients[key]


def _collection(url: str, name: str, answer: int) -> Collection[Document]:
    database = _client(url, answer).get_default_database()
    return database.get_collection(
        name, codec_options=CODEC, write_concern=CONFIRMED, read_preference=ReadPreference.PRIMARY
    )


def _kind(error: PyMongoError) -> str:
    """Return what an error is, without its words: those hold addresses, and the documents themselves."""
    code = (error.details or {}).get("codeName") if isinstance(error, OperationFailure) else None
    return f"{type(error).__name__} {code}" if code else type(error).__name__
