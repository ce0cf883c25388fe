"""`make test` on a bare machine: it installs what is missing, and says so."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import machine


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with apt-get and nothing else; returns what apt-get was asked."""
    asked = tmp_path / "asked"
    asked.touch()
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return asked


def test_root_gets_what_is_missing_from_apt_and_is_told_what_still_lacks(bare: Path, capsys):
    with pytest.raises(SystemExit) as ended:
        machine.main()
    update, install = bare.read_text().splitlines()
    assert update == "-qq update"
    assert install.startswith("-qq install -y --no-install-recommends ")
    assert {"chromium", "nodejs", "npm"} <= set(install.split())
    assert "installing with apt-get: " in capsys.readouterr().out
    assert "this machine lacks Chromium, for the browser tests and Node.js" in str(ended.value)


def test_who_is_not_root_is_told_what_to_install(bare: Path, monkeypatch, capsys):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match="lacks Chromium"):
        machine.main()
    assert bare.read_text() == ""
    assert "that takes root and apt-get" in capsys.readouterr().out


def test_a_machine_that_has_it_all_is_left_alone():
    ran = subprocess.run([sys.executable, machine.__file__], capture_output=True, text=True, check=True)
    assert "installing" not in ran.stdout
