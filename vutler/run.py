"""``make run``: everything in one process on this machine, to try the product out. ``python -m vutler.run``.

Keys are made once and kept in ``VAR_DIR/secrets.env``, the demo's login and token in ``VAR_DIR/demo.json``; both
are readable by their owner only. Variables that are set already win over what is chosen here.
"""

import base64
import contextlib
import json
import logging
import os
import secrets
import socket
import sys
import threading
from pathlib import Path
from typing import Any, Final

import uvicorn

from vutler import celery_app

HOST: Final = "127.0.0.1"
DRAIN: Final = 3  # seconds; whoever pressed Ctrl-C is waiting


class AnnouncingServer(uvicorn.Server):
    """Says how to log in and what to try once it really answers."""

    def __init__(self, config: uvicorn.Config, *, announcement: str) -> None:
        super().__init__(config)
        self._announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, then print the announcement."""
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(self._announcement)
            sys.stdout.flush()


def main() -> None:
    """Make keys, tables and a demo workspace where they aren't there yet, and serve until Ctrl-C."""
    port = int(os.environ.get("PORT") or 8000)
    _refuse_taken(port)
    var_dir = Path(os.environ.get("VAR_DIR") or Path(__file__).resolve().parent.parent / "var").resolve()
    var_dir.mkdir(parents=True, exist_ok=True)
    choose_environment(var_dir, port=port)
    import django

    django.setup()
    logging.getLogger().setLevel(logging.WARNING)
    demo = prepare()
    _start_timetable(var_dir)
    _serve(port, announcement(demo, port=port))


def choose_environment(var_dir: Path, *, port: int) -> None:
    """Set what isn't set: safe on loopback, without TLS, with the echo provider of this very server."""
    chosen = {
        "DJANGO_SETTINGS_MODULE": "vutler.settings",
        "VAR_DIR": str(var_dir),
        "HTTPS": "false",
        "SITE_URL": f"http://{HOST}:{port}",
        "GATEWAY_LOG": "false",
        "LOG_LEVEL": "WARNING",  # whoever tries it out looks at the pages, and has a login to read here
        "ALLOW_PRIVATE_ENDPOINTS": "true",
        "ECHO_BASE_URL": f"http://{HOST}:{port}/echo/v1",
        # Enough of a seller for invoices to carry their e-invoice.
        "SELLER_COUNTRY": "FR",
        "SELLER_REGISTRATION": "demo",
        **kept_secrets(var_dir / "secrets.env"),
    }
    for name, value in chosen.items():
        if not os.environ.get(name):
            os.environ[name] = value


def kept_secrets(path: Path) -> dict[str, str]:
    """Return the keys in ``path``, made on the first call and never changed: sealed values depend on them."""
    if not path.exists():
        made = {
            "SECRET_KEY": secrets.token_urlsafe(64),
            "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        }
        # Complete before it has its name: a second start at the same moment finds all of it or nothing.
        draft = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{name}={value}\n" for name, value in made.items())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    lines = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {name: value for name, _equals, value in lines}


def prepare() -> dict[str, Any]:
    """Bring tables and static files up to date and return the demo workspace's login and token."""
    from io import StringIO

    from django.core.management import call_command

    from vutler import startup

    startup.prepare()
    out = StringIO()
    call_command("demo", json=True, stdout=out)
    demo: dict[str, Any] = json.loads(out.getvalue())
    return demo


def announcement(demo: dict[str, Any], *, port: int) -> str:
    """Return what is printed: where it runs, how to log in, the agent's token, and a line that works."""
    site = f"http://{HOST}:{port}"
    body = json.dumps({"model": demo["model"], "messages": [{"role": "user", "content": "Hello, bakery!"}]})
    curl = (
        f"curl {site}/v1/chat/completions -H 'authorization: Bearer {demo['agent_token']}' "
        f"-H 'content-type: application/json' -d '{body}'"
    )
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    return f"""
  {bold}Vutler{plain} is at {bold}{site}{plain}   (Ctrl-C stops it)

  Log in       {demo["email"]}
  Password     {demo["password"]}
  Agent token  {demo["agent_token"]}

  Ask the demo agent something, then look at {site}/usage/

{curl}

"""


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            sys.stderr.write(f"Port {port} is taken. Choose another: PORT={port + 1} make run\n")
            raise SystemExit(1) from None


def _start_timetable(var_dir: Path) -> None:
    """Run the periodic jobs in a thread of this process: without a broker, each runs where it is called."""
    from django.conf import settings

    if settings.REDIS_URL:  # then ``make worker`` has the timetable
        return
    from celery.beat import Service

    # A worker does this as it starts. What isn't known by then would be sent to a broker that there is none of.
    celery_app.loader.import_default_modules()
    timetable = Service(celery_app, schedule_filename=str(var_dir / "timetable"))
    threading.Thread(target=timetable.start, name="timetable", daemon=True).start()


def _serve(port: int, said: str) -> None:
    from vutler.serve import SERVER

    config = uvicorn.Config(host=HOST, port=port, log_level="warning", timeout_graceful_shutdown=DRAIN, **SERVER)
    server = AnnouncingServer(config, announcement=said)
    # Where Ctrl-C was ignored from the beginning (a job in the background), it ends the server all the same.
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(1)
    sys.stdout.write("\n  Stopped.\n")


if __name__ == "__main__":
    from vutler.startup import or_refuse

    or_refuse(main)
