"""What all tests share."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Keep the state of collectors that tests start out of the home directory."""
    state = tempfile.TemporaryDirectory(prefix="heliograph-state-")
    os.environ["HELIOGRAPH_STATE_DIR"] = state.name
    config.add_cleanup(state.cleanup)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite golden files")


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--update"))


@pytest.fixture
def golden(update: bool) -> Callable[[Path, str], None]:
    """Compare a text to a golden file; with ``--update`` write the file first."""

    def compare(path: Path, text: str) -> None:
        if update:
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare
