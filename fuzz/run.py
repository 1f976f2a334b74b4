"""Build the fuzzing targets and run each for a while; findings make it fail.

Usage: python fuzz/run.py [--seconds N] [--jobs N] [--keep] [TARGET…]. `make fuzz` does this.

Needs no nightly toolchain: libFuzzer is built by the crate libfuzzer-sys, and the coverage pass is
a flag of the stable compiler. Debug assertions and overflow checks are on. What a run learns stays
in fuzz/target/corpus and is where the next one begins; `--keep` minimises it into fuzz/corpus,
which `cargo test` runs without any engine.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
BUILT = HERE / "target"
COVERAGE = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
]
LIMITS = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=1024", "-print_final_stats=1"]
# A committed corpus is a test and a start, not an archive.
MOST_FILES, MOST_BYTES = 200, 100_000


class Run(NamedTuple):
    target: str
    executions: int
    seconds: float
    edges: int
    inputs: int
    finding: str


def build() -> Path:
    """Compile the program; return where it is."""
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    host = re.search(r"host: (\S+)", version)
    assert host
    # With a target named, the flags do not reach build scripts and macros.
    command = ["cargo", "build", "--profile", "fuzz", "--locked", "--quiet", "--target", host[1]]
    command += ["--target-dir", str(BUILT), "--manifest-path", str(HERE / "Cargo.toml")]
    flags = " ".join([os.environ.get("RUSTFLAGS", ""), *COVERAGE]).strip()
    subprocess.run(command, check=True, env=os.environ | {"RUSTFLAGS": flags})
    return BUILT / host[1] / "fuzz" / "heliograph-fuzz"


def start(program: Path, target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        env=os.environ | {"HELIOGRAPH_FUZZ": target, "RUST_BACKTRACE": "1"},
    )


def targets() -> list[str]:
    table = (HERE.parent / "rust" / "src" / "fuzzing.rs").read_text()
    return re.findall(r'^    \("(\w+)", ', table, re.MULTILINE)


def fuzz(program: Path, target: str, seconds: int) -> Run:
    learned, committed, past = (
        folder / target for folder in (BUILT / "corpus", HERE / "corpus", HERE / "findings")
    )
    learned.mkdir(parents=True, exist_ok=True)
    found = BUILT / "findings" / target
    found.mkdir(parents=True, exist_ok=True)
    arguments = [f"-max_total_time={seconds}", *LIMITS, f"-artifact_prefix={found}/"]
    words = HERE / "words" / f"{target}.dict"
    if words.exists():
        arguments.append(f"-dict={words}")
    arguments += [str(folder) for folder in (learned, committed, past) if folder.is_dir()]
    begun = time.monotonic()
    ended = start(program, target, *arguments)
    log = ended.stderr
    (BUILT / "findings" / f"{target}.log").write_text(log)
    executed = re.findall(r"stat::number_of_executed_units: (\d+)", log) or ["0"]
    covered = re.findall(r"cov: (\d+)", log) or ["0"]
    finding = ""
    if ended.returncode:
        said = re.search(r"panicked at .*\n.*|SUMMARY: .*", log)
        written = re.search(r"Test unit written to (\S+)", log)
        finding = f"{said[0] if said else log[-400:]}\n    {written[1] if written else ''}"
    seconds_taken = time.monotonic() - begun
    inputs = len(list(learned.iterdir()))
    return Run(target, int(executed[0]), seconds_taken, int(covered[-1]), inputs, finding)


def keep(program: Path, target: str) -> None:
    """Make the committed corpus anew: what covers most, small and large, within bounds."""
    sources = [folder / target for folder in (BUILT / "corpus", HERE / "corpus")]
    least = BUILT / "least" / target
    shutil.rmtree(least, ignore_errors=True)
    least.mkdir(parents=True)
    present = [str(source) for source in sources if source.is_dir()]
    start(program, target, "-set_cover_merge=1", *LIMITS, str(least), *present)
    kept = HERE / "corpus" / target
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    files = sorted(least.iterdir(), key=lambda path: (path.stat().st_size, path.name))
    while len(files) > MOST_FILES or sum(path.stat().st_size for path in files) > MOST_BYTES:
        step = max(2, min(10, MOST_FILES // max(1, len(files) - MOST_FILES)))
        del files[step - 1 :: step]
    for path in files:
        shutil.copy(path, kept / path.name[:12])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    parser.add_argument("--keep", action="store_true", help="minimise into fuzz/corpus afterwards")
    parser.add_argument("target", nargs="*", help="all when none is named")
    options = parser.parse_args()
    program = build()
    names = options.target or targets()
    bad = 0
    print("| target | executions | seconds | edges | inputs | finding |\n|---|--:|--:|--:|--:|---|")
    with ThreadPoolExecutor(options.jobs) as pool:
        for run in pool.map(lambda name: fuzz(program, name, options.seconds), names):
            bad += bool(run.finding)
            print(
                f"| {run.target} | {run.executions} | {run.seconds:.0f} | {run.edges} "
                f"| {run.inputs} | {run.finding or 'none'} |",
                flush=True,
            )
    if options.keep:
        for name in names:
            keep(program, name)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
