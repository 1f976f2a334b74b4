"""The faults need the native programs: the herd of senders and the checking sink."""

from __future__ import annotations

import harness
import pytest


@pytest.fixture(scope="session", autouse=True)
def native() -> None:
    harness.build_native()
