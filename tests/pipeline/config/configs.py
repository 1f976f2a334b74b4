"""Load configurations made of the components in ``parts``."""

from textwrap import dedent
from types import ModuleType
from typing import Any

from parts import connector, exporter, extension, processor, receiver

from heliograph.pipeline.component import ComponentId, Kind
from heliograph.pipeline.config import Config
from heliograph.pipeline.config.load import Loader
from heliograph.pipeline.registry import Registry

PARTS: dict[Kind, ModuleType] = {
    Kind.RECEIVER: receiver,
    Kind.PROCESSOR: processor,
    Kind.EXPORTER: exporter,
    Kind.CONNECTOR: connector,
    Kind.EXTENSION: extension,
}
REST = """
exporters: {out: {endpoint: a:1}}
service: {pipelines: {traces: {receivers: [in], exporters: [out]}}}
"""
GOOD_SECRETS = """
receivers:
  in:
    api_key: hunter1
    headers:
      authorization: hunter2
    rules:
      - key: a
        value:
          password: hunter3
exporters:
  out: {endpoint: "a:1"}
service: {pipelines: {traces: {receivers: [in], exporters: [out]}}}
"""


def registry() -> Registry:
    """Return a registry of one type a section: in, mid, out, join, side."""
    names = ("in", "mid", "out", "join", "side")
    kinds = (Kind.RECEIVER, Kind.PROCESSOR, Kind.EXPORTER, Kind.CONNECTOR, Kind.EXTENSION)
    builtin = {(k, name): PARTS[k].__name__ for k, name in zip(kinds, names, strict=True)}
    return Registry(builtin)


def loader(text: str, *more: str, sets: tuple[str, ...] = ()) -> Loader:
    """Return a loader that has read the texts; each is a ``yaml:`` source."""
    sources = [f"yaml:{dedent(part).strip()}" for part in (text, *more)]
    result = Loader(sources, sets, registry=registry())
    result.config()
    return result


def problems(text: str, *more: str, sets: tuple[str, ...] = ()) -> list[str]:
    """Return the problems as ``line:column: path: message | fix``."""
    return [_short(problem) for problem in loader(text, *more, sets=sets).problems]


def warnings(text: str) -> list[str]:
    """Return the warnings of a configuration that has no problems."""
    found = loader(text)
    assert not found.problems
    return [_short(problem) for problem in found.warnings]


def config(text: str, *more: str, sets: tuple[str, ...] = ()) -> Config:
    """Return a configuration that has no problems."""
    found = Loader(
        [f"yaml:{dedent(part).strip()}" for part in (text, *more)], sets, registry=registry()
    )
    result = found.config()
    assert result is not None, found.problems
    return result


def receiver_of(options: str) -> Any:
    """Return the receiver's model with options in YAML's flow notation."""
    found = config(f"receivers: {{in: {options}}}{REST}")
    return found.components[Kind.RECEIVER, ComponentId("in")].config


def receiver_problems(options: str) -> list[str]:
    """Return what is wrong with the receiver's options, without the places."""
    found = problems(f"receivers: {{in: {options}}}{REST}")
    return [text.partition(": receivers.in")[2].lstrip(".: ") for text in found]


def _short(problem: Any) -> str:
    return str(problem).replace("--config yaml:", "").replace("\n    fix: ", " | ")
