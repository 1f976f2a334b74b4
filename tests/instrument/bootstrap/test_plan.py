"""What bootstrap decides, and what it reads of the installers' output; golden files."""

from pathlib import Path
from typing import Any

import golden
import pytest

from heliograph.instrument._survey import environment
from heliograph.instrument.bootstrap._installers import Pip, Uv, choose, missing, reason
from heliograph.instrument.bootstrap._plan import Package, normal, package, plan, unmet
from heliograph.instrument.bootstrap._table import table

HERE = Path(__file__).parent
OUTPUTS = {"rows", "requirements", "constraints", "unmet"}


def installed(given: dict[str, Any], python: str = "3.11.7") -> dict[str, Package]:
    """Packages by name; a value is a version, or a list of the version and the requirements."""
    short = python.rpartition(".")[0]
    variables = environment() | {"python_full_version": python, "python_version": short}
    lists = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    return {
        normal(name): package(str(version), requires, variables)
        for name, (version, *requires) in lists.items()
    }


def make(config: Any) -> Any:
    def decide(step: Any) -> Any:
        found = installed(step["installed"], step.get("python", "3.11.7"))
        decided = plan(
            found, step.get("disabled", config.get("disabled", ())), step.get("contrib", ())
        )
        lines = table(decided).splitlines()[1:]
        rows = [" ".join(line.split()) for line in lines if "(Python)" not in line]
        return {
            "rows": rows[:-1],
            "requirements": decided.requirements,
            "constraints": decided.constraints,
            "unmet": sorted(unmet(found)),
        }

    return decide


@pytest.mark.parametrize("path", golden.files(HERE / "plan"), ids=lambda path: path.stem)
def test_decisions(path: Path, update: bool) -> None:
    golden.check(path, OUTPUTS, make, update)


def test_the_table_says_what_was_found_chosen_and_skipped_and_why() -> None:
    decided = plan(
        installed({"celery": "5.4.0", "flask": "3.1.3", "pymongo": "5.0"}), ["asyncio", "sqlite3"]
    ).resolved({"opentelemetry-instrumentation-celery": "0.66b1"})
    assert table(decided) == (HERE / "output" / "table.txt").read_text()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("pip_none.txt", {"opentelemetry-instrumentation-asyncpg"}),
        ("uv_none.txt", {"opentelemetry-instrumentation-asyncpg"}),
        ("pip_conflict.txt", set()),
        ("pip_unreachable.txt", set()),
    ],
)
def test_p1_what_the_index_has_not_is_read_from_a_failed_call(name: str, found: set[str]) -> None:
    output = (HERE / "output" / name).read_text()
    wanted = ["opentelemetry-instrumentation-asyncpg", "opentelemetry-instrumentation-celery"]
    assert missing(output, wanted) == found
    assert reason(output)


def test_versions_are_read_from_a_call_that_succeeded() -> None:
    output = (HERE / "output" / "uv_done.txt").read_text()
    assert Uv("uv").versions(output, "") == {
        "opentelemetry-instrumentation-celery": "0.66b1",
        "wrapt": "2.5.2",
    }
    report = '{"install": [{"metadata": {"name": "Wrapt", "version": "2.5.2"}}]}'
    assert Pip().versions("", report) == {"wrapt": "2.5.2"}


@pytest.mark.parametrize(
    ("asked", "has_pip", "uv", "made_by_uv", "chosen"),
    [
        (None, True, "/uv", False, "pip"),
        (None, True, "/uv", True, "uv"),
        (None, False, "/uv", False, "uv"),
        (None, True, None, True, "pip"),
        (None, False, None, False, None),
        ("uv", True, None, True, None),
        ("pip", True, "/uv", True, "pip"),
        ("pip", False, "/uv", False, None),
    ],
)
def test_installer(
    asked: str | None, has_pip: bool, uv: str | None, made_by_uv: bool, chosen: str | None
) -> None:
    found = choose(asked=asked, has_pip=has_pip, uv=uv, made_by_uv=made_by_uv)
    assert (found.name if found else None) == chosen
