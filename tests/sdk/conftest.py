"""What every test of the SDK begins with."""

from __future__ import annotations

import pytest

from heliograph.sdk import _variables


@pytest.fixture(autouse=True)
def _nothing_said() -> None:
    """A warning about a variable is said once for each process; each test wants its own."""
    _variables._said.clear()
