"""Measures the gateway on one core against a bare relay, interleaved in one run.

    make bench            (or: python benchmarks/gateway.py [--seconds 5] [--rounds 4] [--connections 32 256])

Both run on the same ASGI server and the same upstream client, pinned to one core; the load (wrk), the provider
and Postgres have the others. The gateway authenticates, parses, meters, writes its journal to disk and ships it
to a real Postgres throughout. Printed are the medians over the rounds: requests a second, p50 and p99 in ms, CPU
in µs a request of the serving process (user and system, all its threads), and the ratio to the bare relay; and the
same for an agent whose traffic an experiment divides.
"""

import argparse
import base64
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.backends import Postgres, free_port, wait_for_port  # noqa: E402

MESSAGES = [
    {"role": "system", "content": "You answer the e-mails of a bakery, briefly and kindly."},
    {"role": "user", "content": "Hello! Do you still have the walnut bread on Saturdays, and until when are you open?"},
]


@dataclass
class Sample:
    per_second: float
    p50: float
    p99: float
    cpu_us: float


class Server:
    """A process under test, pinned to the first core."""

    def __init__(self, name: str, target: str, port: int, env: dict[str, str]) -> None:
        self.name, self.port = name, port
        command = [sys.executable, "-m", "uvicorn", target, "--host", "127.0.0.1", "--port", str(port)]
        command += [
            "--loop",
            "uvloop",
            "--http",
            "vutler.http:Protocol",
            "--no-access-log",
            "--no-proxy-headers",
            "--log-level",
            "warning",
            "--lifespan",
            "on",
        ]
        self.process = subprocess.Popen(["taskset", "-c", "0", *command], cwd=ROOT, env={**os.environ, **env})
        wait_for_port(port)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def load(server: Server, script: Path, *, seconds: int, connections: int) -> Sample:
    before = server.cpu_seconds()
    url = f"http://127.0.0.1:{server.port}/v1/chat/completions"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", str(script), url]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    cpu = server.cpu_seconds() - before
    if "Non-2xx" in printed or "Socket errors" in printed:
        raise SystemExit(f"{server.name} failed under load:\n{printed}")
    done = int(re.search(r"(\d+) requests in", printed)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", printed)[1])  # type: ignore[index]
    p50, p99 = (_ms(re.search(rf"{p}%\s+([\d.]+\w+)", printed)[1]) for p in (50, 99))  # type: ignore[index]
    return Sample(rate, p50, p99, cpu / done * 1e6)


def _ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def wrk_script(directory: Path, token: str, *, stream: bool) -> Path:
    body = json.dumps({"model": "gpt-4o-mini", "messages": MESSAGES, **({"stream": True} if stream else {})})
    path = directory / f"{token[-6:]}-{'stream' if stream else 'plain'}.lua"
    path.write_text(
        f"wrk.method = 'POST'\nwrk.body = [==[{body}]==]\n"
        f"wrk.headers['content-type'] = 'application/json'\nwrk.headers['authorization'] = 'Bearer {token}'\n"
    )
    return path


def prepare(env: dict[str, str]) -> tuple[str, str]:
    """Migrate, create two agents with a key at OpenAI (which is our upstream), and return their tokens.

    The second one's traffic is divided by an experiment.
    """
    os.environ.update(env)
    os.environ["DJANGO_SETTINGS_MODULE"] = "vutler.settings"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from django.utils import timezone

    from agents import pacing, services
    from agents.models import User
    from llm.experiments import services as experiments
    from llm.experiments.services import Side

    user = User.objects.create_user("bench@bench.example", "x")
    workspace = services.create_workspace(name="Bench", owner=user)
    key = services.save_key(workspace=workspace, provider="openai", secret="sk-benchmark-0123456789", by=user)
    agents = []
    for name in ("Bench", "Divided"):
        agent = services.create_agent(workspace=workspace, name=name, by=user, model="gpt-4o-mini")
        services.use_key(agent=agent, key=key, by=user)
        # One agent stands for many: no limit of its own.
        pacing.allow_pace(agent=agent, requests=0, tokens=0, by="benchmark")
        agents.append(agent)
    sides = [Side(), Side(model="gpt-4o")]
    experiments.start(agent=agents[1], name="", goal="cost", sides=sides, by=user, at=timezone.now())
    plain, divided = (services.create_agent_token(agent=agent, by=user)[1].reveal() for agent in agents)
    return plain, divided


def shipped(directory: Path) -> None:
    """Wait until a load's records are in the store, so that the next one doesn't pay for them."""
    while any((directory / "journal").glob("*.*")):
        time.sleep(0.05)


def stored() -> int:
    from metering.models import UsageRecord

    return UsageRecord.objects.count()


def report(title: str, samples: dict[str, list[Sample]]) -> None:
    print(f"\n{title}\n{'':14}{'req/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'CPU µs':>10}{'ratio':>10}")
    medians = {
        name: [statistics.median(getattr(s, f) for s in found) for f in ("per_second", "p50", "p99", "cpu_us")]
        for name, found in samples.items()
    }
    bare = medians["bare relay"]
    for name, (rate, p50, p99, cpu) in medians.items():
        print(f"{name:14}{rate:>10,.0f}{p50:>10.2f}{p99:>10.2f}{cpu:>10.0f}{rate / bare[0]:>10.2f}")
    ratios = [
        ours.per_second / theirs.per_second
        for ours, theirs in zip(samples["gateway"], samples["bare relay"], strict=True)
    ]
    print(f"ratio by requests/s, round by round: {', '.join(f'{each:.2f}' for each in ratios)}")
    print(f"ratio by CPU a request: {bare[3] / medians['gateway'][3]:.2f}")
    with_one, without = medians["experiment"], medians["gateway"]
    print(
        f"with an experiment: {with_one[0] / without[0]:.2f} of the requests/s, "
        f"{with_one[3] / without[3]:.2f} of the CPU a request"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=4, help="an even number is fair to all")
    parser.add_argument("--connections", type=int, nargs="+", default=[32, 256], help="a table of plain answers each")
    parser.add_argument("--stream-connections", type=int, default=128)
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("This needs wrk: apt-get install wrk")
    cores = os.cpu_count() or 1
    if cores > 1:
        os.sched_setaffinity(0, range(1, cores))  # and with it whatever is started below, but for the servers

    directory = Path(tempfile.mkdtemp(prefix="vutler-bench-"))
    upstream_port = free_port()
    upstream = f"http://127.0.0.1:{upstream_port}/v1"
    postgres = Postgres(durable=True)
    env = {
        "VAR_DIR": str(directory),
        "SECRET_KEY": "bench",
        "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "DATABASE_URL": postgres.url,
        "OPENAI_BASE_URL": upstream,
        "UPSTREAM": upstream,
        # The yardstick writes no access log either.
        "GATEWAY_LOG": "false",
    }
    provider = subprocess.Popen([sys.executable, str(ROOT / "benchmarks/upstream.py"), str(upstream_port)])
    servers: list[Server] = []
    try:
        wait_for_port(upstream_port)
        token, divided = prepare(env)
        servers = [
            Server("bare relay", "benchmarks.bare_relay:application", free_port(), env),
            Server("gateway", "vutler.asgi:application", free_port(), env),
        ]
        for title, stream, connections in (
            *((f"Plain answers, {count} connections", False, count) for count in options.connections),
            (f"Streams of 50 chunks, {options.stream_connections} connections", True, options.stream_connections),
        ):
            script, parted = (wrk_script(directory, each, stream=stream) for each in (token, divided))
            relay, gateway = servers
            measured = [("bare relay", relay, script), ("gateway", gateway, script), ("experiment", gateway, parted)]
            for _name, server, script in measured:
                load(server, script, seconds=1, connections=connections)
            shipped(directory)
            samples: dict[str, list[Sample]] = {name: [] for name, _server, _script in measured}
            for round_ in range(options.rounds):
                # There and back again, so that none is always the one that comes after another.
                for name, server, script in measured if round_ % 2 == 0 else reversed(measured):
                    samples[name].append(load(server, script, seconds=options.seconds, connections=connections))
                    shipped(directory)
            report(title, samples)
        for server in servers:
            server.stop()
        print(f"\nrecords in Postgres after the gateway stopped: {stored():,}")
    finally:
        for process in [provider, *(server.process for server in servers if server.process.poll() is None)]:
            process.terminate()
            process.wait(30)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
