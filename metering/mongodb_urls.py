"""Addresses of MongoDB: which they are, and whether they can be used."""

from typing import Final
from urllib.parse import urlsplit

SCHEMES: Final = ("mongodb://", "mongodb+srv://")

HINT: Final = (
    "Write it as mongodb://user:password@host:27017/name, with the name of a database, the password's special "
    "characters percent-encoded, and no options that MongoDB doesn't know."
)


def is_mongodb(url: str) -> bool:
    """Tell whether ``url`` is for PyMongo rather than for Django."""
    return url.startswith(SCHEMES)


def usable(url: str) -> bool:
    """Tell whether an address of MongoDB is well formed and names a database.

    What is wrong isn't said: it may be a part of the password.
    """
    from pymongo.errors import ConfigurationError
    from pymongo.uri_parser import parse_uri

    try:
        if url.startswith("mongodb+srv://"):  # the rest is asked of the DNS when it is used
            return bool(urlsplit(url).hostname and urlsplit(url).path.strip("/"))
        found = parse_uri(url)
    except (ConfigurationError, ValueError):
        return False
    return bool(found["database"] and not found["collection"])
