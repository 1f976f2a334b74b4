"""Install the real peers that ours is tested and measured against, each once.

``python tests/interop/peers/install.py [NAME ...]`` builds what is missing (all, or the ones
named) under ``${XDG_CACHE_HOME:-~/.cache}/heliograph-peers/NAME-VERSION`` and says at the end
which could not be had and what to do about it. Nothing of a peer is kept in this repository; all
of it comes by package name through the ordinary clients: go, mvn, npm and pip.

Tests and benchmarks ask `find` for a peer's folder, which never installs anything.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heliograph-peers"
MARK = ".installed"


@dataclass(frozen=True)
class Peer:
    """One peer: ``make`` fills an empty folder; ``needs`` are the programs it takes."""

    name: str
    version: str
    make: Callable[[Path], None]
    needs: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return CACHE / f"{self.name}-{self.version}"


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command and return what it printed; its complaint is the error's text."""
    done = subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        tail = (done.stderr or done.stdout).strip().splitlines()[-12:]
        raise RuntimeError(f"{' '.join(map(str, command))}:\n    " + "\n    ".join(tail))
    return done.stdout


def otelcol(folder: Path) -> None:
    builder = folder / "builder"
    builder.mkdir()
    (builder / "go.mod").write_text("module example.org/builder\n")
    version = f"v{PEERS['otelcol'].version}"
    run("go", "get", f"go.opentelemetry.io/collector/cmd/builder@{version}", cwd=builder)
    run("go", "build", "-o", "ocb", "go.opentelemetry.io/collector/cmd/builder", cwd=builder)
    manifest = HERE / "otelcol" / "manifest.yaml"
    source = folder / "source"
    run(builder / "ocb", "--config", manifest, "--skip-compilation", cwd=folder)
    (folder / "_build").rename(source)
    run("go", "build", "-trimpath", "-ldflags=-s -w", "-o", folder / "otelcol", ".", cwd=source)
    shutil.rmtree(builder)
    shutil.rmtree(source)


def go_program(module: str, package: str, *flags: str) -> Callable[[Path], None]:
    """Build ``module``'s ``package`` as its own go.mod would: its replacements and its go.sum."""

    def make(folder: Path) -> None:
        name, _, version = module.partition("@")
        source = folder / "source"
        source.mkdir()
        (source / "go.mod").write_text("module example.org/peer\n")
        had = json.loads(run("go", "mod", "download", "-json", module, cwd=source))
        theirs = json.loads(run("go", "mod", "edit", "-json", had["GoMod"], cwd=source))
        lines = ["module example.org/peer", f"go {theirs['Go']}", f"require {name} {version}"]
        for rule in theirs.get("Replace") or ():
            old, new = rule["Old"], rule["New"]
            if not new["Path"].startswith("."):
                before = f"{old['Path']} {old.get('Version', '')}"
                lines.append(f"replace {before} => {new['Path']} {new.get('Version', '')}")
        for rule in theirs.get("Exclude") or ():
            lines.append(f"exclude {rule['Path']} {rule['Version']}")
        (source / "go.mod").write_text("\n".join(lines) + "\n")
        shutil.copy(Path(had["Dir"]) / "go.sum", source / "go.sum")
        (source / "go.sum").chmod(0o644)
        target = folder / package.rsplit("/", 1)[-1]
        run("go", "build", "-mod=mod", *flags, "-o", target, f"{name}/{package}", cwd=source)
        shutil.rmtree(source)

    return make


def goclient(folder: Path) -> None:
    shutil.copytree(HERE / "goclient", folder / "source")
    run("go", "mod", "tidy", cwd=folder / "source")
    run("go", "build", "-o", folder / "goclient", ".", cwd=folder / "source")
    shutil.rmtree(folder / "source")


def nodeclient(folder: Path) -> None:
    for name in ("package.json", "package-lock.json", "app.js"):
        shutil.copy(HERE / "nodeclient" / name, folder)
    run("npm", "ci", "--no-audit", "--no-fund", "--silent", cwd=folder)


def javaclient(folder: Path) -> None:
    agent = "io.opentelemetry.javaagent:opentelemetry-javaagent"
    artifact = f"{agent}:{PEERS['javaclient'].version}"
    copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
    run("mvn", "-q", "-B", copy, f"-Dartifact={artifact}", f"-DoutputDirectory={folder}")
    next(folder.glob("opentelemetry-javaagent-*.jar")).rename(folder / "agent.jar")
    run("javac", "-d", folder, HERE / "javaclient" / "App.java")


def kafka(folder: Path) -> None:
    shutil.copy(HERE / "kafka" / "pom.xml", folder)
    copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    run("mvn", "-q", "-B", copy, f"-DoutputDirectory={folder / 'lib'}", cwd=folder)


def ferretdb(folder: Path) -> None:
    source, version = folder / "source", f"v{PEERS['ferretdb'].version}"
    module = f"github.com/FerretDB/FerretDB@{version}"
    had = json.loads(run("go", "mod", "download", "-json", module, cwd=folder))
    run("cp", "-r", "--no-preserve=mode", had["Dir"], source)
    # What its release scripts write, and without which it does not start.
    (source / "build" / "version" / "version.txt").write_text(version)
    run("go", "build", "-o", folder / "ferretdb", "./cmd/ferretdb", cwd=source)
    shutil.rmtree(source)


def python_packages(*requirements: str) -> Callable[[Path], None]:
    """A virtual environment of its own; its interpreter is ``bin/python``."""

    def make(folder: Path) -> None:
        venv.create(folder, with_pip=True)
        pip = folder / "bin" / "pip"
        run(pip, "install", "--quiet", "--disable-pip-version-check", "--pre", *requirements)

    return make


PYTHON_SDK = "1.45.2"
ROTEL = "0.0.1a15"
PEERS = {
    peer.name: peer
    for peer in (
        Peer("rotel", ROTEL, python_packages(f"rotel=={ROTEL}"), ()),
        Peer(
            "pyclient",
            PYTHON_SDK,
            python_packages(
                f"opentelemetry-sdk=={PYTHON_SDK}",
                f"opentelemetry-exporter-otlp-proto-grpc=={PYTHON_SDK}",
                f"opentelemetry-exporter-otlp-proto-http=={PYTHON_SDK}",
            ),
            (),
        ),
        Peer("nodeclient", "0.82.0", nodeclient, ("node", "npm")),
        Peer("javaclient", "2.20.1", javaclient, ("java", "javac", "mvn")),
        Peer("otelcol", "0.158.0", otelcol, ("go",)),
        Peer("goclient", "1.47.0", goclient, ("go",)),
        Peer(
            "prometheus",
            "0.316.0",
            go_program(
                "github.com/prometheus/prometheus@v0.316.0", "cmd/prometheus", "-tags=remove_all_sd"
            ),
            ("go",),
        ),
        Peer(
            "jaeger",
            "1.76.0",
            go_program("github.com/jaegertracing/jaeger@v1.76.0", "cmd/all-in-one"),
            ("go",),
        ),
        Peer("kafka", "3.9.1", kafka, ("java", "mvn")),
        Peer("ferretdb", "1.24.2", ferretdb, ("go",)),
        Peer("loki", "3.7.8", go_program("github.com/grafana/loki/v3@v3.7.8", "cmd/loki"), ("go",)),
    )
}


def find(name: str) -> Path | None:
    """Return the folder of an installed peer, or None."""
    folder = PEERS[name].folder
    return folder if (folder / MARK).exists() else None


def install(peer: Peer) -> None:
    """Make a peer's folder, whole or not at all.

    Raises: RuntimeError or OSError with what went wrong, or the program that is missing.
    """
    missing = [program for program in peer.needs if shutil.which(program) is None]
    if missing:
        raise RuntimeError(f"needs {', '.join(missing)} on the PATH; install it and run this again")
    CACHE.mkdir(parents=True, exist_ok=True)
    # Made in place, because virtual environments do not survive a move; the mark comes last.
    if peer.folder.exists():
        shutil.rmtree(peer.folder)
    peer.folder.mkdir()
    try:
        peer.make(peer.folder)
        (peer.folder / MARK).touch()
    except BaseException:
        shutil.rmtree(peer.folder, ignore_errors=True)
        raise


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        print(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}", file=sys.stderr)
        return 2
    failed = 0
    for peer in [PEERS[name] for name in names] or list(PEERS.values()):
        if find(peer.name):
            print(f"{peer.name} {peer.version}: there", flush=True)
            continue
        print(f"{peer.name} {peer.version}: installing into {peer.folder}", flush=True)
        started = time.monotonic()
        try:
            install(peer)
        except (RuntimeError, OSError, StopIteration) as error:
            failed += 1
            print(f"{peer.name} {peer.version}: could not be had: {error}", flush=True)
        else:
            print(
                f"{peer.name} {peer.version}: took {time.monotonic() - started:.0f} s", flush=True
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
