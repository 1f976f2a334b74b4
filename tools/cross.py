"""Check that the native core compiles for systems that this machine is not.

    python tools/cross.py [TARGET …]

A target whose standard library rustup has is checked with it. For others the library is compiled
from source by Debian's Rust, which is unpacked below ``target/cross`` and not installed; C code in
the core is compiled by zig, from PyPI. Nothing is linked or run.

Prints one line a target. Exit status: 1 when a target does not compile; a target that cannot be
checked on this machine is only named.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CROSS = ROOT / "target" / "cross"
DEBIAN = CROSS / "debian"
ZIG = CROSS / "zig"
TARGETS = {
    "x86_64-pc-windows-gnu": "x86_64-windows-gnu",
    "aarch64-apple-darwin": "aarch64-macos",
}
"""Targets, and what zig calls them. What Windows is does not depend on whose C compiler is used."""
RUST = (
    ("rustc-web", "cargo-web", "rust-web-src"),
    ("rustc", "cargo", "rust-src"),
)
"""Debian's packages: those kept new for browsers first."""
SHIM = """#!{python}
import os, sys
foreign = ("--target=", "-march=", "-mmacosx-version-min=", "-arch", "arm64")
arguments = [each for each in sys.argv[1:] if not each.startswith(foreign)]
target = ["-target", os.environ["CROSS_TARGET"]] if {command!r} == "cc" else []
os.execv({zig!r}, ["zig", {command!r}, *target, *arguments])
"""
"""Zig in the place of a target's tools; it names targets in its own way."""


class Missing(Exception):
    """The machine lacks something; the text says what."""


def main(targets: list[str]) -> int:
    status = 0
    for target in targets or list(TARGETS):
        try:
            errors = check(target)
        except Missing as missing:
            print(f"{target}: not checked: {missing}")
            continue
        print(f"{target}: {'does not compile' if errors else 'compiles'}")
        if errors:
            print(errors)
            status = 1
    return status


def check(target: str) -> str:
    """Return what the compiler says against a target; nothing when it compiles. Raises: Missing."""
    if target in _said("rustup", "target", "list", "--installed").split():
        return _check(["cargo"], target, dict(os.environ))
    if target not in TARGETS:
        raise Missing("its standard library is not installed")
    rust, tools = _debian(), _zig()
    environment = os.environ | {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(rust / "lib" / "x86_64-linux-gnu"),
        "RUSTC": str(rust / "bin" / "rustc"),
        "RUSTC_BOOTSTRAP": "1",
        "CROSS_TARGET": TARGETS[target],
        f"CC_{target.replace('-', '_')}": str(tools / "cross-cc"),
        f"AR_{target.replace('-', '_')}": str(tools / "cross-ar"),
    }
    return _check([str(rust / "bin" / "cargo")], target, environment, "-Zbuild-std")


def _check(cargo: list[str], target: str, environment: dict[str, str], *options: str) -> str:
    command = [*cargo, "check", "--locked", "--quiet", "-p", "heliograph-core", *options]
    command += ["--target", target, "--target-dir", str(CROSS / "target")]
    done = _run(command, cwd=ROOT, env=environment)
    return done.stderr if done.returncode else ""


def _debian() -> Path:
    """Return where Debian's Rust is, unpacked at the first call."""
    usr = DEBIAN / "usr"
    if (usr / "bin" / "rustc").exists():
        return usr
    if not shutil.which("apt-get"):
        raise Missing(
            "its standard library is not installed, and this is no Debian to take it from"
        )
    for names in RUST:
        plan = _said("apt-get", "install", "--simulate", "--no-install-recommends", *names)
        wanted = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
        if not wanted:
            continue
        packages = CROSS / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        _done(["apt-get", "download", "-qq", *wanted], packages)
        for package in packages.glob("*.deb"):
            _done(["dpkg", "-x", str(package), str(DEBIAN)], packages)
        shutil.rmtree(packages)
        return usr
    raise Missing("Debian's Rust cannot be had, or is installed in place of rustup")


def _zig() -> Path:
    """Return the directory of the tools for targets, installed at the first call."""
    tools = ZIG / "tools"
    if not tools.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _done(
            [*pip, "--no-deps", "--root-user-action=ignore", "--target", str(ZIG), "ziglang"], ROOT
        )
        tools.mkdir()
        names = {"cross-cc": "cc", "cross-ar": "ar", "x86_64-w64-mingw32-dlltool": "dlltool"}
        zig = str(ZIG / "ziglang" / "zig")
        for name, command in names.items():
            tool = tools / name
            tool.write_text(SHIM.format(python=sys.executable, zig=zig, command=command))
            tool.chmod(0o755)
    return tools


def _run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the commands are this file's own
        command, check=False, capture_output=True, text=True, **options
    )


def _said(*command: str) -> str:
    """Return the output of a command; nothing when there is no such command, or it fails."""
    try:
        done = _run(command)
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def _done(command: list[str], directory: Path) -> None:
    done = _run(command, cwd=directory)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it failed"])[-1]
        raise Missing(f"{' '.join(command[:3])}: {last}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
