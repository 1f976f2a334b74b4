"""What `heliograph run` adds to the start of a program: CPU and wall time, both sides in one run.

``python -c pass`` and, for what most programs import anyway, ``import asyncio, json, logging``:
alone, with ``heliograph run``, with ``OTEL_SDK_DISABLED=true`` and, with ``--official BIN``, below
the ``opentelemetry-instrument`` of an environment. Medians of interleaved rounds, milliseconds.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

PYTHON = sys.executable
HELIOGRAPH = str(Path(PYTHON).parent / "heliograph")
PROGRAMS = {"pass": "pass", "common imports": "import asyncio, json, logging, threading"}
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
TARGET = 100
"""Milliseconds that `python -c pass` may take longer."""


def measure(command: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """Return the CPU and the wall time of a command, in milliseconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env=environ, stderr=subprocess.DEVNULL)
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1000, (ended - began) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--official", metavar="BIN", help="folder with opentelemetry-instrument")
    given = parser.parse_args()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "HELIOGRAPH_"))}
    clean |= ENDPOINT
    # An installed package is compiled; the first round does that here.
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
    sides: dict[str, tuple[list[str], dict[str, str]]] = {
        "none": ([], clean),
        "heliograph run": ([HELIOGRAPH, "run"], clean),
        "disabled": ([HELIOGRAPH, "run"], clean | {"OTEL_SDK_DISABLED": "true"}),
    }
    if given.official:
        path = {"PATH": f"{given.official}:{clean['PATH']}"}
        sides["none, its Python"] = ([], clean | path)
        sides["official"] = ([f"{given.official}/opentelemetry-instrument"], clean | path)
    print("| program | side | CPU | wall | CPU added | wall added |")
    print("|---|---|---:|---:|---:|---:|")
    added = 0.0
    for program, code in PROGRAMS.items():
        taken: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for _ in range(given.rounds):
            for side, (launcher, environ) in sides.items():
                theirs = given.official if "official" in side or "its" in side else None
                python = f"{theirs}/python" if theirs else PYTHON
                taken[side].append(measure([*launcher, python, "-c", code], environ))
        medians = {
            side: tuple(statistics.median(column) for column in zip(*rows, strict=True))
            for side, rows in taken.items()
        }
        for side, (cpu, wall) in medians.items():
            base = medians["none, its Python" if side == "official" else "none"]
            more = f"{cpu - base[0]:.0f} | {wall - base[1]:.0f}"
            print(f"| {program} | {side} | {cpu:.0f} | {wall:.0f} | {more} |")
        if program == "pass":
            added = medians["heliograph run"][0] - medians["none"][0]
    print(f"\nadded to `pass`: {added:.0f} ms of CPU, target at most {TARGET}")
    return 0 if added <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
