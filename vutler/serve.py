"""``make serve``: web and gateway in production, from the environment. ``python -m vutler.serve``."""

import os
from typing import Any, Final

import uvicorn

# Chosen by measurement: docs/decisions/0007-server-and-client.md and 0028-writes-leave-together.md.
SERVER: Final[dict[str, Any]] = {
    "app": "vutler.asgi:application",
    "loop": "uvloop",
    "http": "vutler.http:Protocol",
    "ws": "none",
    "interface": "asgi3",
    "lifespan": "on",
    "access_log": False,
    "log_config": None,  # Django's settings say how logs look
    "server_header": False,
}
# On SIGTERM no new request is taken, and those under way have this long to end (seconds).
DRAIN: Final = 30
# Longer than usual proxies keep an idle connection, so that none is closed under a request on its way (seconds).
KEEP_ALIVE: Final = 75


def serve() -> None:
    """Prepare the database and static files, then answer until SIGTERM."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vutler.settings")
    import django

    from vutler import env, startup

    django.setup()
    startup.prepare()
    uvicorn.run(
        host=env.HOST,
        port=env.PORT,
        workers=env.WORKERS,
        # From others these headers are ignored: who could name their own address would have as many guesses at a
        # password as they like.
        forwarded_allow_ips=env.TRUSTED_PROXIES,
        timeout_graceful_shutdown=DRAIN,
        timeout_keep_alive=KEEP_ALIVE,
        **SERVER,
    )


if __name__ == "__main__":
    from vutler.startup import or_refuse

    or_refuse(serve)
