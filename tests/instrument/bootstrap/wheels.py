"""Wheels and installed packages that have metadata alone, made in an instant."""

import zipfile
from collections.abc import Iterable
from pathlib import Path


def metadata(name: str, version: str, requires: Iterable[str] = ()) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    return "\n".join([*lines, *(f"Requires-Dist: {each}" for each in requires), "", ""])


def wheel(folder: Path, name: str, version: str, requires: Iterable[str] = ()) -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    files = {
        "METADATA": metadata(name, version, requires),
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for file, text in files.items():
            archive.writestr(f"{stem}.dist-info/{file}", text)
        record = "".join(f"{stem}.dist-info/{file},,\n" for file in (*files, "RECORD"))
        archive.writestr(f"{stem}.dist-info/RECORD", record)


def package(folder: Path, name: str, version: str, requires: Iterable[str] = ()) -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(metadata(name, version, requires))
