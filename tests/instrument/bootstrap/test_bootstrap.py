"""`heliograph bootstrap` in environments of its own, with pip and uv and an index in a folder."""

import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from instrument.bootstrap.wheels import package, wheel
from instrument.conftest import HELIOGRAPH, clean_environment

SOURCE = Path(__file__).parents[3] / "src"
CONTRIB = "opentelemetry-instrumentation-"
NOT_NEEDED = "asyncio,threading,urllib,sqlite3"


@dataclass
class Environment:
    """A virtual environment, an index beside it, and a program's packages."""

    folder: Path

    @property
    def site(self) -> Path:
        return next((self.folder / "venv" / "lib").glob("python*")) / "site-packages"

    def have(self, name: str, version: str, *requires: str) -> None:
        package(self.site, name, version, requires)

    def offer(self, name: str, version: str, *requires: str) -> None:
        wheel(self.folder / "index", name, version, requires)

    def versions(self) -> dict[str, str]:
        found = (path.stem.split("-") for path in self.site.glob("*.dist-info"))
        return {name.replace("_", "-"): version for name, version in found}

    def bootstrap(
        self, *arguments: str, by: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it ``by`` another interpreter, or by the environment's."""
        index = self.folder / "index"
        index.mkdir(exist_ok=True)
        settings = self.folder / "uv.toml"
        settings.write_text(f'no-index = true\nfind-links = ["{index}"]\n')
        return subprocess.run(
            [by or self.folder / "venv" / "bin" / "python", "-c",
             "import sys; from heliograph.cli import main; sys.exit(main())",
             "bootstrap", *arguments],
            env=clean_environment(
                PYTHONPATH=str(SOURCE), OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=NOT_NEEDED,
                PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index), PIP_CONFIG_FILE="/dev/null",
                UV_CONFIG_FILE=str(settings), UV_NO_CACHE="1",
                PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin",
            ),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    venv.create(tmp_path / "venv", symlinks=True)
    made = Environment(tmp_path)
    ours = next(Path(place) for place in sys.path if (Path(place) / "pip").is_dir())
    for part in ("pip", *(path.name for path in ours.glob("pip-*.dist-info"))):
        (made.site / part).symlink_to(ours / part)
    return made


@pytest.fixture(params=["pip", "uv"])
def installer(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def as_json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_p1_versions_that_exist_for_all_are_chosen_and_what_is_missing_is_a_failure(
    environment: Environment, installer: str
) -> None:
    for name in ("celery", "pymongo"):
        environment.have(name, "4.9")
        environment.offer(CONTRIB + name, "0.66b1", "opentelemetry-instrumentation==0.66b1")
    environment.have("asyncpg", "0.30")
    environment.offer(CONTRIB + "celery", "0.66b2", "opentelemetry-instrumentation==0.66b2")
    environment.offer("opentelemetry-instrumentation", "0.66b1")
    environment.offer("opentelemetry-instrumentation", "0.66b2")

    done = environment.bootstrap("-a", "install", "--installer", installer)
    assert done.returncode == 1
    assert done.stderr == f"heliograph bootstrap: not to be had: {CONTRIB}asyncpg\n"
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert f"asyncpg 0.30 skipped {CONTRIB}asyncpg the index has no version of it" in lines
    assert f"celery 4.9 chosen {CONTRIB}celery 0.66b1" in lines
    assert f"+ {CONTRIB}pymongo 0.66b1" in lines
    installed = environment.versions()
    assert {installed[CONTRIB + name] for name in ("celery", "pymongo")} == {"0.66b1"}


def test_p9_what_is_out_of_range_is_not_installed(environment: Environment) -> None:
    environment.have("sqlalchemy", "2.1.9")
    environment.offer(CONTRIB + "sqlalchemy", "0.66b1")
    for arguments, decision in (((), "ours"), (("--contrib", "sqlalchemy"), "skip")):
        done = environment.bootstrap("-a", "install", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        assert as_json(done)["libraries"][0]["decision"] == decision
    assert "needs sqlalchemy >= 1.0.0, < 2.1.0, found 2.1.9" in done.stdout
    assert CONTRIB + "sqlalchemy" not in environment.versions()


def test_p10_what_would_break_a_package_of_the_program_is_not_installed_and_said(
    environment: Environment, installer: str
) -> None:
    environment.have("celery", "5.4.0")
    environment.have("wrapt", "1.0")
    environment.have("program", "1.0", "wrapt<2")
    environment.offer("wrapt", "2.0")
    environment.offer(CONTRIB + "celery", "0.66b1", "wrapt>=2")
    done = environment.bootstrap("-a", "install", "--installer", installer)
    assert done.returncode == 1
    assert "wrapt" in done.stderr
    assert environment.versions().get("wrapt") == "1.0"


def test_p19_pydantic_alone_asks_for_nothing(environment: Environment) -> None:
    environment.have("pydantic", "2.12.0")
    done = environment.bootstrap("-a", "install", "--json")
    assert done.returncode == 0
    assert [row["library"] for row in as_json(done)["libraries"] if row["decision"] != "skip"] == []


def test_requirements_are_pinned_and_alone_on_standard_output(
    environment: Environment, installer: str
) -> None:
    environment.have("celery", "5.4.0")
    environment.offer(CONTRIB + "celery", "0.66b1")
    done = environment.bootstrap("-a", "requirements", "--installer", installer)
    assert (done.returncode, done.stdout) == (0, f"{CONTRIB}celery==0.66b1\n"), done.stderr
    assert "celery     5.4.0     chosen" in done.stderr
    assert CONTRIB + "celery" not in environment.versions()


def test_a_dry_run_installs_nothing_and_the_real_one_is_safe_twice(
    environment: Environment, installer: str
) -> None:
    environment.have("celery", "5.4.0")
    environment.offer(CONTRIB + "celery", "0.66b1")
    install = ("-a", "install", "--json", "--installer", installer)
    assert as_json(environment.bootstrap(*install, "--dry-run"))["changed"] == []
    assert CONTRIB + "celery" not in environment.versions()
    first = as_json(environment.bootstrap(*install))
    assert first["changed"] == [f"+ {CONTRIB}celery 0.66b1"]
    again = as_json(environment.bootstrap(*install))
    row = next(row for row in again["libraries"] if row["library"] == "celery")
    assert (again["changed"], row["decision"], row["chosen"]) == ([], "keep", "0.66b1")


@pytest.mark.parametrize("place", ["venv", "venv/bin/python"])
def test_for_another_interpreter(environment: Environment, installer: str, place: str) -> None:
    environment.have("celery", "5.4.0", "opentelemetry-api<1; python_version < '3'")
    environment.have("pymongo", "4.9", "opentelemetry-semantic-conventions<0.60; os_name != 'x'")
    conventions = "opentelemetry-semantic-conventions"
    for version, needed in (("0.59b0", "0.59b0"), ("0.66b1", "0.66b1")):
        environment.offer(CONTRIB + "celery", version, f"{conventions}=={needed}")
        environment.offer(CONTRIB + "pymongo", version, f"{conventions}=={needed}")
        environment.offer(conventions, needed)
    here = Path(sys.executable)
    python = str(environment.folder / place)
    done = environment.bootstrap(
        "--python", python, "-a", "install", "--json", "--installer", installer, by=here
    )
    assert done.returncode == 0, done.stderr
    chosen = {row["library"]: row["chosen"] for row in as_json(done)["libraries"]}
    assert chosen == {"celery": "0.59b0", "pymongo": "0.59b0"} | dict.fromkeys(
        NOT_NEEDED.split(","), ""
    )
    assert environment.versions()[CONTRIB + "celery"] == "0.59b0"


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("/nowhere/python", "cannot run /nowhere/python: No such file or directory"),
        ("/bin/true", "/bin/true is no Python to install for: it says nothing"),
        ("/", "there is no Python in /"),
    ],
)
def test_what_is_no_interpreter_is_said(environment: Environment, python: str, said: str) -> None:
    done = environment.bootstrap("--python", python)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"heliograph bootstrap: --python: {said}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nosuch"], "unrecognized arguments: --nosuch"),
        (["-a", "remove"], "argument -a/--action: invalid choice: 'remove' (choose from"),
        (["--python"], "argument --python: expected one argument"),
    ],
)
def test_a_wrong_flag_is_one_line(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [*HELIOGRAPH, "bootstrap", *arguments], capture_output=True, text=True, timeout=60,
        env=clean_environment(), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"heliograph bootstrap: {said}")


def test_flags_in_both_spellings(environment: Environment) -> None:
    environment.have("celery", "5.4.0")
    environment.offer(CONTRIB + "celery", "0.66b1")
    for flag in ("--dry-run", "--dry_run"):
        done = environment.bootstrap("-a", "install", flag)
        assert done.returncode == 0, done.stderr
        assert f"{CONTRIB}celery 0.66b1" in done.stdout
        assert CONTRIB + "celery" not in environment.versions()


def test_without_an_installer_that_is_said(environment: Environment) -> None:
    for link in environment.site.glob("pip*"):
        link.unlink()
    environment.have("celery", "5.4.0")
    done = environment.bootstrap("-a", "install", "--installer", "pip")
    assert done.returncode == 1
    assert done.stderr == "heliograph bootstrap: there is no pip here to install with\n"
