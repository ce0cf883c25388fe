"""Each import contract notices when it's broken: a copy of the code gets one import too many."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]

# By contract: a file, and an import that it must not have.
TOO_MANY = {
    "rooms": [
        ("agents/services.py", "import metering.store"),
        ("metering/journal.py", "import llm.errors"),
        ("llm/gateway.py", "import vutler.env"),
        ("llm/gateway.py", "import billing.models"),
        ("billing/services.py", "import llm.models"),
        ("billing/services.py", "import custody.retention"),
    ],
    "circles": [("llm/errors.py", "import llm.gateway"), ("metering/usage.py", "import metering.pricing")],
    "agents": [
        ("agents/services.py", "import agents.tasks"),
        ("agents/models.py", "import agents.services"),
        ("agents/services.py", "import agents.views"),
    ],
    "metering": [("metering/store/sql.py", "import metering.journal"), ("metering/models.py", "import metering.tasks")],
    "billing": [
        ("billing/services.py", "import billing.closing"),
        ("billing/models.py", "import billing.services"),
        ("billing/rating.py", "import billing.numbers"),
        ("billing/gateways/orders.py", "import billing.services"),
    ],
    "custody": [("custody/retention.py", "import custody.leaving"), ("custody/archive.py", "import custody.takeout")],
    "llm": [
        ("llm/client.py", "import llm.gateway"),
        ("llm/sse.py", "import llm.translate"),
        ("llm/snapshot.py", "import llm.experiments.services"),
        ("llm/compare/services.py", "import llm.experiments.services"),
        ("llm/experiments/services.py", "import llm.compare.services"),
        ("llm/experiments/services.py", "import llm.api"),
    ],
    "arithmetic": [
        ("metering/pricing.py", "import django.conf"),
        ("metering/alerts.py", "import django.conf"),
        ("agents/plans.py", "import agents.models"),
        ("billing/invoicing.py", "import django.conf"),
        ("llm/translate/__init__.py", "import openai"),
    ],
    "providers": [("llm/providers/anthropic.py", "import llm.providers.openai_compatible")],
    "hot-path": [("llm/gateway.py", "import celery"), ("llm/asgi.py", "import rest_framework")],
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    directory = tmp_path_factory.mktemp("copy")
    for room in CONFIGURATION["root_packages"]:
        shutil.copytree(ROOT / room, directory / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    return directory


def lint(directory: Path, contract: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("lint-imports")), "--contract", contract, "--no-cache"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_every_contract_is_broken_here_on_purpose():
    assert {contract["id"] for contract in CONFIGURATION["contracts"]} == set(TOO_MANY)


@pytest.mark.parametrize("contract", TOO_MANY)
def test_the_code_keeps_the_contract(contract):
    assert lint(ROOT, contract).returncode == 0


@pytest.mark.parametrize(
    ("contract", "file", "line"),
    [(contract, file, line) for contract, cases in TOO_MANY.items() for file, line in cases],
)
def test_one_import_too_many_is_noticed(copy, contract, file, line):
    path = copy / file
    before = path.read_text()
    path.write_text(f"{before}\n{line}\n")
    try:
        found = lint(copy, contract)
    finally:
        path.write_text(before)
    assert found.returncode == 1, found.stdout
    assert "BROKEN" in found.stdout
