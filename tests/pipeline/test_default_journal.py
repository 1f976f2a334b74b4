"""``service.journal`` across a reload."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.pipeline import default_journal
from heliograph.pipeline.component import Edge
from heliograph.pipeline.config import Config
from heliograph.pipeline.config.load import load
from heliograph.pipeline.journal import Journal


def config(folder: Path, journal: dict[str, Any], exporter: str = "otlp") -> Config:
    """Return a configuration whose only exporter is this one."""
    path = folder / "collector.yaml"
    exporters = {"otlp": {"endpoint": "localhost:4317"}, "debug": {}}
    pipeline = {"receivers": ["otlp"], "exporters": [exporter]}
    document = {
        "receivers": {"otlp": {"protocols": {"grpc": {}}}},
        "exporters": {exporter: exporters[exporter]},
        "service": {"journal": journal, "pipelines": {"traces": pipeline}},
    }
    path.write_text(json.dumps(document))
    return load([str(path)])


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:

    edge = Edge(asyncio.get_running_loop(), logging.getLogger("test"))
    yield edge
    edge.close()


async def test_new_limits_count_at_once_and_a_move_waits(edge: Edge, tmp_path: Path) -> None:
    old = config(tmp_path, {"directory": str(tmp_path)})
    journal = default_journal.opened(old, None, edge, logging.getLogger("test"))
    assert isinstance(journal, Journal)
    try:
        new = config(tmp_path, {"directory": str(tmp_path), "max_size_mib": 20})
        assert list(default_journal.reloaded(journal, old, new)) == []
        assert journal.max_bytes == 20 * 2**20
        moved = config(tmp_path, {"directory": str(tmp_path / "other")})
        (note,) = default_journal.reloaded(journal, new, moved)
        assert "restart" in note
        assert list(default_journal.reloaded(journal, new, new)) == []
    finally:
        await journal.close()


async def test_none_where_nobody_uses_it(edge: Edge, tmp_path: Path) -> None:
    plain = config(tmp_path, {"directory": str(tmp_path)}, "debug")
    assert default_journal.opened(plain, None, edge, logging.getLogger("test")) is None
    (note,) = default_journal.reloaded(None, plain, config(tmp_path, {"directory": str(tmp_path)}))
    assert "restart" in note
