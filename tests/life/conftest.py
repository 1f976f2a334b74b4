"""What every test of lives needs: a place to send to, and the commands of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from exporters.backends import GrpcBackend

from life.programs import environment


@pytest.fixture
def backend() -> Iterator[GrpcBackend]:
    backend = GrpcBackend()
    yield backend
    backend.stop()


@pytest.fixture(scope="session")
def commands() -> Path:
    return environment()
