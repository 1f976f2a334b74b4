"""What every test of the SDK begins with."""

from __future__ import annotations

import pytest

from heliograph.sdk import _fence, _variables


@pytest.fixture(autouse=True)
def _nothing_said() -> None:
    """What is said once for each process, or seldom; each test wants its own."""
    _variables._said.clear()
    _fence._said.clear()
