"""The cache that processes share over Redis: what limits guesses at passwords and codes, and marks codes that are used.

While Redis is away, each process keeps a cache of its own: limits hold in each of them, and nobody is locked out.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

import structlog
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis import RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

AWAY_FOR: Final = 5.0  # seconds before Redis is asked again
PATIENCE: Final = 0.5  # seconds for it to answer

log = structlog.get_logger(__name__)


class Json:
    """Writes values as JSON: whoever can write to Redis can't have code run here."""

    def dumps(self, value: Any) -> Any:
        """Return a value as Redis keeps it; whole numbers as they are, so that it can count them up."""
        return value if type(value) is int else json.dumps(value)

    def loads(self, data: Any) -> Any:
        """Return what was kept."""
        return json.loads(data)


def _or_own(name: str) -> Any:
    """Return a method that asks Redis, or the process's own cache while that is away."""
    ask: Callable[..., Any] = getattr(RedisCache, name)

    def asked(self: "SharedCache", *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() >= self.away_until:
            try:
                return ask(self, *args, **kwargs)
            except RedisError as error:
                self.away_until = time.monotonic() + AWAY_FOR
                log.warning("cache_away", error=type(error).__name__)
        return getattr(self.own, name)(*args, **kwargs)

    return asked


class SharedCache(RedisCache):
    """Redis where it answers, a cache of this process's own where it doesn't. ``OPTIONS`` as for ``RedisCache``."""

    add, get, set, touch, delete, has_key, incr = map(
        _or_own, ("add", "get", "set", "touch", "delete", "has_key", "incr")
    )
    get_many, set_many, delete_many = map(_or_own, ("get_many", "set_many", "delete_many"))

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        impatient = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "retry": Retry(NoBackoff(), 0)}
        options = {"serializer": Json, **impatient, **params.get("OPTIONS", {})}
        super().__init__(server, {**params, "OPTIONS": options})
        self.own = LocMemCache("while-redis-is-away", {})
        self.away_until = 0.0

    def clear(self) -> NoReturn:
        """Refuse: it would empty all of Redis, where jobs and limits are as well."""
        raise RuntimeError("there is more in this Redis than the cache")
