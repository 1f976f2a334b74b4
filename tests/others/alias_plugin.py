"""For pytest in another project's test suite: our SDK under the official names, outcomes as JSON.

Loaded with ``-p alias_plugin`` into an environment without opentelemetry-sdk. ``OTHERS_OUTCOMES``
names the file that gets ``{test: [outcome, last line of its error]}``.
"""

import json
import os
from pathlib import Path

import pytest
from asgiref.testing import ApplicationCommunicator

from heliograph.sdk import install_aliases

install_aliases()
RECEIVE = ApplicationCommunicator.receive_output
PATIENCE = 2.0
"""Seconds to wait for the first message of an ASGI application: the suites give it 10 ms, and what
one test leaves behind when they are too few makes others fail."""


async def receive_output(self: ApplicationCommunicator, timeout: float = 1) -> object:  # noqa: ASYNC109 - as it is called
    """Receive a message; a busy machine may take its time for the first."""
    first = not self.__dict__.setdefault("has_received", False)
    self.has_received = True
    return await RECEIVE(self, PATIENCE if first else timeout)


ApplicationCommunicator.receive_output = receive_output
OUTCOMES: dict[str, tuple[str, str]] = {}


def note(name: str, report: pytest.TestReport | pytest.CollectReport) -> None:
    """Remember the outcome, and the worst one of a test's phases."""
    if report.failed:
        OUTCOMES[name] = ("failed", str(report.longrepr).strip().splitlines()[-1])
    elif name not in OUTCOMES:
        OUTCOMES[name] = (report.outcome, "")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed or report.skipped or report.when == "call":
        note(report.nodeid, report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        note(report.nodeid, report)


def pytest_sessionfinish() -> None:
    if path := os.environ.get("OTHERS_OUTCOMES"):
        Path(path).write_text(json.dumps(OUTCOMES))
