"""Which tests run: those whose peers are installed. The others are named at the end."""

from __future__ import annotations

import harness
import pytest
from install import CACHE, PEERS, find

missing_peers: dict[str, int] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept, left_out = [], []
    for item in items:
        marks = item.iter_markers("peers")
        missing = [name for mark in marks for name in mark.args if find(name) is None]
        for name in missing:
            missing_peers[name] = missing_peers.get(name, 0) + 1
        (left_out if missing else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, tests in missing_peers.items():
        terminalreporter.write_line(
            f"{name} {PEERS[name].version} is not in {CACHE}: {tests} tests left out; "
            f"`python tests/interop/peers/install.py {name}` installs it or says why it cannot"
        )


@pytest.fixture(scope="session", autouse=True)
def native() -> None:
    """The recording sink is one of the benchmark's programs."""
    harness.build_native()
