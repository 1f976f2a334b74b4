"""Which instrumentation begins when, without the real ones."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.instrument import _activation
from heliograph.instrument._activation import Activation
from heliograph.instrument._entries import Entry
from heliograph.instrument._hook import ImportHook
from heliograph.instrument.fast import LIBRARIES

MADE = ("wrapt", "library", "contrib")


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImportHook]:
    monkeypatch.syspath_prepend(str(tmp_path))
    hook = ImportHook()
    hook.install()
    before = {name: sys.modules.pop(name) for name in MADE if name in sys.modules}
    yield hook
    sys.meta_path.remove(hook)
    for name in MADE:
        sys.modules.pop(name, None)
    sys.modules.update(before)


@pytest.mark.parametrize("first", ["library", "wrapt", "contrib"])
def test_none_begins_while_what_it_is_made_with_is_being_imported(
    first: str, hook: ImportHook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library.py").write_text("instrumented = False\n")
    (tmp_path / "wrapt.py").write_text("import library\ndef wrap(): library.instrumented = True\n")
    (tmp_path / "contrib.py").write_text(
        "from wrapt import wrap\nclass Instrumentor:\n    def instrument(self, **options): wrap()\n"
    )
    monkeypatch.setitem(_activation.IMPORTS, "library", ("library",))
    monkeypatch.setattr(_activation, "LIBRARIES", {})
    activation = Activation(hook)
    activation.watch([Entry("library", "contrib", "Instrumentor", "")])
    __import__(first)
    assert activation.states["library"] == "instrumented by contrib"
    assert sys.modules["library"].instrumented


@pytest.mark.parametrize(
    ("disabled", "names"),
    [
        *((name, {name}) for name in sorted(LIBRARIES) if name not in ("httpx", "sqlite3")),
        ("httpx", {"httpx", "httpx2"}),
        ("sqlite3", {"aiosqlite", "sqlite3"}),
        ("flask, redis,", {"flask", "redis"}),
        ("*", set(LIBRARIES)),
        ("", set()),
    ],
)
def test_contribs_name_disables_ours(
    disabled: str, names: set[str], hook: ImportHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_activation.DISABLED, disabled)
    activation = Activation(hook, can_record=lambda: False)
    activation.watch([])
    states = activation.states
    assert {name for name in states if states[name].startswith("disabled by OTEL_")} == names
