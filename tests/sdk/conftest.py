"""What every test of the SDK begins with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from exporters.backends import GrpcBackend, HttpBackend

from heliograph.sdk import _fence, _variables


@pytest.fixture(autouse=True)
def _nothing_said() -> None:
    """What is said once for each process, or seldom; each test wants its own."""
    _variables._said.clear()
    _fence._said.clear()


@pytest.fixture
def http() -> Iterator[HttpBackend]:
    """What takes OTLP over HTTP."""
    backend = HttpBackend()
    yield backend
    backend.stop()


@pytest.fixture
def rpc() -> Iterator[GrpcBackend]:
    """What takes OTLP over gRPC."""
    backend = GrpcBackend()
    yield backend
    backend.stop()


@pytest.fixture
def backend(rpc: GrpcBackend) -> GrpcBackend:
    """Where a program sends to that has one exporter."""
    return rpc
