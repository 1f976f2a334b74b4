"""Components are found by their type: built in, installed, and from files."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from heliograph.pipeline import registry
from heliograph.pipeline.component import Kind
from heliograph.pipeline.registry import ALIASES, BUILTIN, BrokenComponent, Registry, first_line

COMPONENT = '''
"""Do nothing.

At all.
"""
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig, Exporter, Processor as Contract

class Config(ComponentConfig):
    pass

class Processor(Contract):
    signals = frozenset({Signal.LOGS})
'''


def install(monkeypatch: pytest.MonkeyPatch, **entries: str) -> Registry:
    found = [EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in entries.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints(found))
    return Registry()


def test_every_built_in_component_can_be_used() -> None:
    found = Registry()
    for kind, name in BUILTIN:
        module = found.module(kind, name)
        assert module is not None
        assert first_line(module).endswith("."), f"{kind}.{name}"


def test_another_name_is_the_same_component() -> None:
    found = Registry()
    for (kind, name), type in ALIASES.items():
        assert found.module(kind, name) is found.module(kind, type)
        assert name in found.names(kind)
        assert name not in found.types(kind)


def test_there_is_no_such_type() -> None:
    assert Registry().module(Kind.RECEIVER, "nothing") is None
    assert Registry({}).types(Kind.RECEIVER) == []


def test_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside_component.py").write_text(COMPONENT)
    monkeypatch.syspath_prepend(tmp_path)
    found = install(
        monkeypatch,
        **{"processors.redact": "outside_component", "processors": "x", "nothing.a": "x"},
    )
    module = found.module(Kind.PROCESSOR, "redact")
    assert module is not None
    assert first_line(module) == "Do nothing."
    assert "redact" in found.types(Kind.PROCESSOR)


def test_built_in_components_cannot_be_replaced_by_installing_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = install(monkeypatch, **{"processors.batch": "no_such_module"})
    assert found.module(Kind.PROCESSOR, "batch") is not None


def test_an_installed_package_that_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    found = install(monkeypatch, **{"processors.redact": "no_such_module", "exporters.j": "json"})
    with pytest.raises(BrokenComponent, match="no_such_module cannot be imported: ModuleNotFound"):
        found.module(Kind.PROCESSOR, "redact")
    with pytest.raises(BrokenComponent, match="json has no Config that derives from"):
        found.module(Kind.EXPORTER, "j")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("class Processor", "class Procesor", "has no class named Receiver, Processor"),
        ("(ComponentConfig)", "", "has no Config that derives from ComponentConfig"),
        ("    signals =", "    signal =", "Processor does not say its signals"),
        ("import Signal", "import Signals", "cannot be loaded: ImportError"),
        ("class Config(", "class Config((", "cannot be loaded: SyntaxError"),
    ],
)
def test_a_file_that_is_no_component(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in COMPONENT
    (tmp_path / "redact.py").write_text(COMPONENT.replace(old, new))
    with pytest.raises(BrokenComponent, match=said):
        Registry().add_file(tmp_path / "redact.py")


def test_a_file_stands_only_where_its_own_classes_belong(tmp_path: Path) -> None:
    (tmp_path / "redact.py").write_text(COMPONENT)
    found = Registry()
    assert found.add_file(tmp_path / "redact.py") == [Kind.PROCESSOR]
    assert found.module(Kind.EXPORTER, "redact") is None


def test_the_same_text_is_the_same_module_and_another_is_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    text = (
        "from heliograph.pipeline.component import ComponentConfig\n"
        "class Config(ComponentConfig):\n    pass\n"
        "class Extension:\n    version = {}\n"
    )

    def load(version: int) -> Any:
        path.write_text(text.format(version))
        registry = Registry({})
        registry.add_file(path)
        return registry.module(Kind.EXTENSION, "mine")

    one, two = load(1), load(2)
    assert (one.Extension.version, two.Extension.version) == (1, 2)
    assert load(1) is one, "it still runs, so it is found again"
    assert load(2) is two
