"""Flushing when the program is told to end."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from opentelemetry import _logs, metrics, trace

BOUND = 2.0
"""Seconds that flushing may take."""


def flush_on_sigterm() -> bool:
    """Flush the providers on SIGTERM, then end as the signal would have ended the program.

    Only where nobody handles SIGTERM yet; a handler that is set later replaces this one. Call it
    in the main thread. Returns whether it was installed.
    """
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return False
    signal.signal(signal.SIGTERM, _flush_and_end)
    return True


def _flush_and_end(number: int, frame: FrameType | None) -> None:
    end = time.monotonic() + BOUND
    try:
        for provider in _providers():
            left = end - time.monotonic()
            if left > 0 and hasattr(provider, "force_flush"):
                provider.force_flush(int(left * 1000))
    finally:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _providers() -> Iterator[Any]:
    """The program's providers, and those of ours that are not global."""
    known = [trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()]
    for signal_name in ("trace", "logs"):
        ours = sys.modules.get(f"heliograph.sdk.{signal_name}._provider")
        if ours is not None:
            known += [one for one in list(ours.LIVING) if one not in known]
    yield from known
