"""Common mistakes: the exact output of ``validate`` for each, and the page that shows them."""

import difflib
import re
from pathlib import Path

import pytest

from heliograph.cli import main

HERE = Path(__file__).parent / "mistakes"
PAGE = Path(__file__).parents[3] / "docs" / "guide" / "mistakes.md"
NAMES = sorted(path.name.removesuffix(".bad.yaml") for path in HERE.glob("*.bad.yaml"))
AVAILABLE = re.compile(r"available: .*")
INTRODUCTION = """# Common mistakes

`heliograph collector validate --config config.yaml` reads a configuration and says everything that
is wrong with it in one go: where, what, and what to write instead. `heliograph collector` says the
same and does not start. Below are common mistakes, what is said about each, and the fix.

<!-- Written by the tests from tests/pipeline/config/mistakes; `pytest --update` rewrites it. -->
"""


def split(name: str) -> tuple[str, str, str]:
    """Return title, explanation and YAML of a mistake."""
    lines = (HERE / f"{name}.bad.yaml").read_text().splitlines(keepends=True)
    head = [line[2:] for line in lines if line.startswith("# ")]
    return head[0].strip(), "".join(head[1:]), "".join(lines[len(head) :])


def validate(
    text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    monkeypatch.chdir(folder)
    (folder / "config.yaml").write_text(text)
    status = main(["collector", "validate", "--config", "config.yaml"])
    captured = capsys.readouterr()
    return status, AVAILABLE.sub("available: …", captured.err + captured.out)


@pytest.mark.parametrize("name", NAMES)
def test_mistake(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    update: bool,
) -> None:
    expected = HERE / f"{name}.bad.txt"
    status, output = validate(split(name)[2], tmp_path, monkeypatch, capsys)
    if update:
        expected.write_text(output)
    assert output == expected.read_text()
    assert status == (0 if "error" not in output.splitlines()[-1] else 1)
    assert "warning" in output or status == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_fix_is_valid(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = (HERE / f"{name}.good.yaml").read_text()
    status, output = validate(good, tmp_path, monkeypatch, capsys)
    assert (status, output.count("\n")) == (0, 1), output


def section(name: str) -> str:
    title, why, bad = split(name)
    good = (HERE / f"{name}.good.yaml").read_text()
    diff = list(difflib.unified_diff(bad.splitlines(), good.splitlines(), lineterm="", n=1))
    changes = "\n".join(line for line in diff[2:] if not line.startswith("@@"))
    output = (HERE / f"{name}.bad.txt").read_text().rstrip()
    parts = [
        f"## {title}\n",
        f"{why}" if why else "",
        f"```yaml\n{bad.rstrip()}\n```\n",
        f"```text\n{output}\n```\n",
        f"The fix:\n\n```diff\n{changes}\n```\n",
    ]
    return "\n".join(part for part in parts if part)


def test_the_page_shows_them(update: bool) -> None:
    text = "\n".join([INTRODUCTION, *(section(name) for name in NAMES)])
    if update:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text)
    assert len(NAMES) >= 20
    assert PAGE.read_text() == text, "stale; run pytest --update and review the diff"
