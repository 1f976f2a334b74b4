"""Flushing when the program is told to end."""

from __future__ import annotations

import os
import signal
from types import FrameType

from opentelemetry import _logs, metrics, trace

BOUND_MILLIS = 2000
"""How long flushing may take."""


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
    providers = (
        trace.get_tracer_provider(),
        metrics.get_meter_provider(),
        _logs.get_logger_provider(),
    )
    try:
        for provider in providers:
            flush = getattr(provider, "force_flush", None)
            if flush is not None:
                flush(BOUND_MILLIS)
    finally:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
