"""The contract that every built-in component keeps."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from heliograph.errors import ConfigError
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentId, Edge, Kind
from heliograph.pipeline.config import load
from heliograph.pipeline.registry import BUILTIN, Registry
from heliograph.testing import Sink, settings, until

MINIMAL: dict[tuple[str, str], dict[str, Any]] = {
    ("exporters", "file"): {"path": "out.jsonl"},
    ("exporters", "loki"): {"endpoint": "http://127.0.0.1:9/loki/api/v1/push"},
    ("exporters", "otlp"): {"endpoint": "127.0.0.1:9", "tls": {"insecure": True}},
    ("exporters", "otlphttp"): {"endpoint": "http://127.0.0.1:9"},
    ("exporters", "prometheus"): {"endpoint": "127.0.0.1:0"},
    ("extensions", "basicauth"): {"client_auth": {"username": "u", "password": "p"}},
    ("extensions", "bearertokenauth"): {"token": "t"},
    ("extensions", "file_storage"): {"directory": "storage", "create_directory": True},
    ("extensions", "health_check"): {"endpoint": "127.0.0.1:0"},
    ("processors", "attributes"): {"actions": [{"key": "k", "value": "v", "action": "insert"}]},
    ("processors", "memory_limiter"): {"limit_mib": 100_000, "check_interval": "1s"},
    ("processors", "resource"): {"attributes": [{"key": "k", "value": "v", "action": "insert"}]},
    ("receivers", "otlp"): {
        "protocols": {"grpc": {"endpoint": "127.0.0.1:0"}, "http": {"endpoint": "127.0.0.1:0"}}
    },
}
"""What a component cannot do without, or what keeps it on this machine."""

COMPONENTS = [pytest.param(kind, type, id=f"{kind}-{type}") for kind, type in sorted(BUILTIN)]
every_component = pytest.mark.parametrize(("kind", "type"), COMPONENTS)


def module_of(kind: Kind, type: str) -> ModuleType:
    module = Registry().module(kind, type)
    assert module is not None
    return module


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The model and those inside it."""
    found = [model]
    for each in found:
        for field in each.model_fields.values():
            found += [inner for inner in inside(field.annotation) if inner not in found]
    yield from found


def inside(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from inside(part)


@every_component
def test_documented(kind: Kind, type: str) -> None:
    module = module_of(kind, type)
    doc = module.__doc__ or ""
    assert re.match(r"[A-Z][^\n]*\.\n", doc), "the first line is not a sentence"
    assert f"YAML: ``{kind.value}: {type}``" in doc, "where it stands is not said"
    undescribed = [
        f"{model.__name__}.{name}"
        for model in models(module.Config)
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert undescribed == []


@every_component
def test_an_unknown_key_is_refused_with_its_path(kind: Kind, type: str, tmp_path: Path) -> None:
    written = {kind.value: {type: {**MINIMAL.get((kind.value, type), {}), "no_such_key": 1}}}
    path = tmp_path / "collector.yaml"
    path.write_text(yaml.safe_dump(written))
    with pytest.raises(ConfigError) as caught:
        load([str(path)])
    (found,) = [p for p in caught.value.problems if p.path.endswith("no_such_key")]
    assert found.path == f"{kind.value}.{type}.no_such_key"
    assert found.place is not None
    assert found.place.line is not None


@every_component
async def test_starts_and_stops_and_leaves_nothing(
    kind: Kind, type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = module_of(kind, type)
    config = module.Config.model_validate(MINIMAL.get((kind.value, type), {}))
    edge = Edge(asyncio.get_running_loop(), settings().log)
    before = left()
    try:
        for _ in range(2):
            component = make(module, kind, config, edge)
            await component.stop()
            component = make(module, kind, config, edge)
            await component.start()
            await component.stop()
            await component.stop()
            await component.start()
            await component.stop()
        await until(lambda: left() <= before)
    finally:
        edge.close()


def make(module: ModuleType, kind: Kind, config: Any, edge: Edge) -> Any:
    factory = getattr(module, kind.class_name)
    signal = Signal.TRACES if kind is Kind.PROCESSOR else None
    given = settings("test", kind, edge=edge, signal=signal)
    assert given.id == ComponentId("test")
    if kind is Kind.PROCESSOR:
        return factory(config, given, Sink())
    if kind in (Kind.RECEIVER, Kind.CONNECTOR):
        return factory(config, given, {signal: Sink() for signal in factory.signals})
    return factory(config, given)


def left() -> set[str]:
    """Tasks, threads and sockets of this process; asyncio's own pool of threads does not count."""
    tasks = {f"task {task.get_name()}" for task in asyncio.all_tasks()}
    threads = {
        f"thread {t.name}" for t in threading.enumerate() if not t.name.startswith("asyncio")
    }
    return tasks | threads | set(sockets())


def sockets() -> Iterator[str]:
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            yield target
