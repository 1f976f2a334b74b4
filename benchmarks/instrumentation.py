"""What automatic instrumentation costs a Flask application behind gunicorn, side by side.

``python benchmarks/instrumentation.py [--rounds 5] [--seconds 4] [--paced 10]
[--sides none,official,ddtrace,heliograph] [--write]``. One gthread worker has one core; load, sink
and Redis have the other. In each round every side is started, asked for ``/hello`` and ``/db``
(three statements, a Redis command, a log record) one request after the other, asked for both at
`RATE` requests a second, and ended with SIGTERM. CPU is the worker's, all threads. Both
OpenTelemetry sides send traces, metrics and logs over HTTP and have the same instrumentations
beside; ddtrace sends traces to an agent that keeps nothing. Figures are medians of the rounds.
Environments are kept under ``~/.cache/heliograph-bench-instrumentation``. ``--write`` puts the
tables into RESULTS.md.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness
import paced
from table import record, table

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
HOME = CACHE / "heliograph-bench-instrumentation"
RATE = 250.0
PATHS = ("/hello", "/db")
APP = ["flask==3.1.3", "sqlalchemy==2.0.58", "redis==8.1.0", "gunicorn==27.0.1"]
CONTRIB = "opentelemetry-instrumentation"
BESIDE = [
    f"{CONTRIB}-{name}==0.66b1" for name in ("asyncio", "click", "jinja2", "threading", "urllib")
]
"""What bootstrap chooses for such an environment, without what Heliograph does itself."""
REPLACED = [
    f"{CONTRIB}-{name}==0.66b1"
    for name in ("flask", "logging", "redis", "requests", "sqlalchemy", "sqlite3", "urllib3")
]
NONE, OFFICIAL, DDTRACE, OURS = "none", "official", "ddtrace", "heliograph"
PACKAGES = {
    NONE: APP,
    OFFICIAL: [
        *(*APP, *BESIDE, *REPLACED),
        *("opentelemetry-distro==0.66b1", "opentelemetry-exporter-otlp-proto-http==1.45.1"),
    ],
    DDTRACE: [*APP, "ddtrace==4.16.0"],
    OURS: [*APP, *BESIDE, "opentelemetry-api==1.45.1"],
}
UV = Path(sys.executable).parent / "uv"
LAUNCH = "import sys; from heliograph.cli import main; sys.exit(main())"


def environment(side: str) -> Path:
    """Return the ``bin`` of a side's environment, made when it is not there."""
    wanted = PACKAGES[side]
    folder = HOME / f"{side}-{hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]}"
    binaries = folder / "bin"
    if not (folder / ".installed").exists():
        print(f"installing {side}", file=sys.stderr)
        subprocess.run([UV, "venv", "-q", "--clear", folder], check=True)
        python = binaries / "python"
        subprocess.run([UV, "pip", "install", "-q", "-p", python, *wanted], check=True)
        subprocess.run([python, "-m", "compileall", "-q", folder / "lib"], check=False)
        (folder / ".installed").touch()
    if side == OURS:
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "heliograph.pth").write_text(f"{harness.ROOT / 'src'}\n")
    return binaries


def launcher(side: str, binaries: Path) -> list[str]:
    return {
        NONE: [],
        OFFICIAL: [str(binaries / "opentelemetry-instrument")],
        DDTRACE: [str(binaries / "ddtrace-run")],
        OURS: [str(binaries / "python"), "-c", LAUNCH, "run"],
    }[side]


@dataclass
class Cost:
    """What one side did, a figure for each round."""

    cpu: dict[str, list[float]] = field(default_factory=dict)
    """Microseconds a request, one after the other, by path."""
    paced: dict[str, list[float]] = field(default_factory=dict)
    """The same at `RATE`."""
    p50: dict[str, list[float]] = field(default_factory=dict)
    p99: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds, at `RATE`."""
    start: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)
    """Seconds to the first answer, and from SIGTERM to the end."""
    resident: list[float] = field(default_factory=list)
    """MiB of the worker."""

    def add(self, name: str, path: str, value: float) -> None:
        getattr(self, name).setdefault(path, []).append(value)

    def of(self, name: str, path: str) -> float:
        return statistics.median(getattr(self, name)[path])


class Bench:
    """Whatever is not measured, on its core, and the servers one after the other."""

    def __init__(self, folder: Path, stack: ExitStack, options: Any) -> None:
        self._folder = folder
        self._options = options
        cores = sorted(os.sched_getaffinity(0))
        self._core = str(cores[0])
        os.sched_setaffinity(0, {cores[-1]})
        self.sink = stack.enter_context(harness.sink(folder / "sink.log"))
        self._redis, self._agent = harness.free_port(), harness.free_port()
        redis = ["redis-server", "--port", self._redis, "--save", "", "--dir", folder]
        agent = [sys.executable, Path(__file__).parent / "null_agent.py", self._agent]
        for name, port, command in (
            ("redis", self._redis, redis),
            ("agent", self._agent, agent),
        ):
            process = harness.running([str(word) for word in command], folder / f"{name}.log")
            stack.enter_context(process).ready(port)

    def round(self, side: str, cost: Cost) -> None:
        """Start one side, ask it, end it."""
        before = self._taken(side)
        port, options = harness.free_port(), self._options
        binaries = environment(side)
        server = [
            *("taskset", "-c", self._core, *launcher(side, binaries), str(binaries / "gunicorn")),
            *("--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "4"),
            *("--chdir", str(Path(__file__).parent), "instrumentation_app:app"),
        ]
        began = time.perf_counter()
        process = harness.Process(server, self._folder / f"{side}.log", **self._variables(binaries))
        try:
            first_answer(process, port)
            cost.start.append(time.perf_counter() - began)
            worker = only_child(process.pid)
            asked = self._ask(worker, port, cost)
            cost.resident.append(resident(worker))
            began = time.perf_counter()
        finally:
            process.stop()
        cost.end.append(time.perf_counter() - began)
        taken = {name: count - before[name] for name, count in self._taken(side).items()}
        if not options.unchecked:
            check(side, asked, taken)

    def _ask(self, worker: int, port: int, cost: Cost) -> int:
        options, asked = self._options, 1
        for path in PATHS:
            asked += paced.one_by_one(port, path, 1)
        for path in PATHS:
            spent = cpu(worker)
            count = paced.one_by_one(port, path, options.seconds)
            cost.add("cpu", path, (cpu(worker) - spent) / count * 1e6)
            asked += count
        for path in PATHS:
            spent = cpu(worker)
            took = sorted(paced.by_the_clock(port, path, RATE, options.paced))
            cost.add("paced", path, (cpu(worker) - spent) / len(took) * 1e6)
            cost.add("p50", path, took[len(took) // 2] * 1e3)
            cost.add("p99", path, took[int(len(took) * 0.99)] * 1e3)
            asked += len(took)
        return asked

    def _variables(self, binaries: Path) -> dict[str, str]:
        return {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "",
            "REDIS_PORT": str(self._redis),
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.sink.http}",
            "OTEL_METRIC_EXPORT_INTERVAL": "5000",
            "DD_SERVICE": "shop",
            "DD_TRACE_AGENT_URL": f"http://127.0.0.1:{self._agent}",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        }

    def _taken(self, side: str) -> dict[str, int]:
        if side == DDTRACE:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._agent}/taken") as answer:
                return {"bytes": int(answer.read())}
        return self.sink.stats()


def check(side: str, asked: int, taken: dict[str, int]) -> None:
    """Raises: RuntimeError when a side has not sent what it is measured for."""
    enough = {
        NONE: taken.get("requests") == 0,
        DDTRACE: taken.get("bytes", 0) > 100 * asked,
    }.get(
        side,
        taken.get("spans", 0) >= asked
        and taken.get("records", 0) > 0
        and taken.get("points", 0) > 0,
    )
    if not enough:
        raise RuntimeError(f"{side}: {asked} requests, but what arrived is {taken}")


def first_answer(process: harness.Process, port: int) -> None:
    def answered() -> bool:
        process.alive()
        try:
            paced.Connection(port).get("/hello")
        except OSError:
            return False
        return True

    harness.wait_until(answered, 60, f"an answer of {process.log}")


def only_child(pid: int) -> int:
    """The worker of a gunicorn."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def cpu(pid: int) -> float:
    """CPU-seconds so far, of all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / harness.TICKS


def resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has ended")


def report(costs: dict[str, Cost]) -> str:
    """Two tables: the figures a request, and those a process."""
    base = costs[NONE]
    official = costs.get(OFFICIAL)
    requests: list[list[str]] = []
    for path in PATHS:
        for side, cost in costs.items():
            cells = [path, side]
            for name in ("cpu", "paced"):
                added = cost.of(name, path) - base.of(name, path)
                cells += [f"{cost.of(name, path):.0f}", f"{added:.0f}" if side != NONE else ""]
                share = official and added / (official.of(name, path) - base.of(name, path))
                cells.append(f"{share:.2f}" if share and side not in (NONE, OFFICIAL) else "")
            p99 = cost.of("p99", path)
            cells += [f"{cost.of('p50', path):.2f}", f"{p99:.2f}"]
            requests.append([*cells, f"{p99 / base.of('p99', path):.2f}"])
    processes = [
        [side, *(f"{statistics.median(found):.2f}" for found in (cost.start, cost.end)),
         f"{statistics.median(cost.resident):.0f}"]
        for side, cost in costs.items()
    ]  # fmt: skip
    headings = (
        *("path", "side", "CPU µs", "added", "of official's"),
        *("at the rate: CPU µs", "added", "of official's", "p50 ms", "p99 ms", "of none's p99"),
    )
    return "\n\n".join(
        (
            table(headings, requests, 2),
            table(("side", "start s", "exit s", "worker MiB"), processes, 1),
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="of requests one by one")
    parser.add_argument("--paced", type=float, default=10, help="seconds of requests at the rate")
    parser.add_argument("--sides", default=",".join(PACKAGES))
    parser.add_argument("--unchecked", action="store_true", help="do not look at what arrives")
    parser.add_argument("--write", action="store_true", help="record the tables in RESULTS.md")
    options = parser.parse_args()
    harness.build_native()
    sides = options.sides.split(",")
    for side in sides:
        environment(side)
    costs = {side: Cost() for side in sides}
    with tempfile.TemporaryDirectory(prefix="instrumentation-") as name, ExitStack() as stack:
        bench = Bench(Path(name), stack, options)
        for number in range(options.rounds):
            for side, cost in costs.items():
                bench.round(side, cost)
                say(number, side, cost)
    text = report(costs)
    print(text)
    if options.write:
        record("Automatic instrumentation", setting(options) + text)
    return 0


def say(number: int, side: str, cost: Cost) -> None:
    last: Callable[[list[float]], float] = lambda found: found[-1]  # noqa: E731
    figures = ", ".join(
        f"{path} {last(cost.cpu[path]):.0f} µs, at the rate {last(cost.paced[path]):.0f} µs, "
        f"p50 {last(cost.p50[path]):.2f} p99 {last(cost.p99[path]):.2f} ms"
        for path in PATHS
    )
    print(
        f"{number + 1} {side}: {figures}; start {cost.start[-1]:.2f} s, end {cost.end[-1]:.2f} s",
        file=sys.stderr,
    )


def setting(options: Any) -> str:
    return (
        f"`benchmarks/instrumentation.py --rounds {options.rounds} --seconds {options.seconds:g} "
        f"--paced {options.paced:g}`: a Flask\napplication behind gunicorn, one gthread worker on "
        "one core, load and sink on the other; medians of the\ninterleaved rounds. CPU of the "
        f"worker a request, one after the other and at {RATE:g} a second; `/db` is three\n"
        "statements, a Redis command and a log record. Both OpenTelemetry sides send traces, "
        "metrics and logs over HTTP\n(metrics every 5 s), ddtrace traces. Targets: added CPU at "
        "most 0.25 of the official's, p99 within 1.5 times\nnone's.\n\n"
    )


if __name__ == "__main__":
    sys.exit(main())
