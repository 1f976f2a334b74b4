"""Flushing when the program is told to end."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from opentelemetry import _logs, metrics, trace

from heliograph.sdk import _exit

GRACE = 0.25
"""Seconds to say what was lost."""

_set_handler = signal.signal


class _State:
    """What this process, and a child that inherits it, is at."""

    installed = False
    ending = False


def flush_on_sigterm() -> bool:
    """Flush the providers on SIGTERM, then end as the signal would have ended the program.

    A handler of the program's own, set before or later, is left alone; setting ``SIG_DFL`` through
    `signal.signal` brings this one back. Call it in the main thread. Returns whether it was put in
    place now; False, too, where there is no SIGTERM to handle.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    if os.name != "posix":
        return False
    if not _State.installed:
        _State.installed = True
        signal.signal = _keeping(signal.signal)
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return False
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return True


def _keeping(set_handler: Any) -> Any:
    """`signal.signal`, for which the default of SIGTERM is to flush and end."""

    def signal_(signalnum: Any, handler: Any, /) -> Any:
        """Set the handler of a signal; return the one before it."""
        if signalnum == signal.SIGTERM and handler == signal.SIG_DFL:
            handler = _flush_and_end
        return set_handler(signalnum, handler)

    signal_.__name__ = signal_.__qualname__ = "signal"
    return signal_


def _flush_and_end(number: int, frame: FrameType | None) -> None:
    """Flush for at most the 2 s of an exit; another SIGTERM meanwhile changes nothing.

    Another thread flushes, so that locks that the interrupted one holds cannot hold up the end.
    """
    if _State.ending:
        return
    _State.ending = True
    bound = _exit.patience()
    end = time.monotonic() + bound
    try:
        thread = threading.Thread(target=_flush, args=(end,), name="heliograph-end", daemon=True)
        thread.start()
        thread.join(bound + GRACE)
    except RuntimeError:
        # The interpreter is shutting down and starts no thread.
        _flush(end)
    finally:
        _set_handler(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _flush(end: float) -> None:
    """Flush each provider until this time of the monotonic clock, and say what was lost."""
    ours = _exit.providers()
    left = end - time.monotonic()
    _exit.export_all(ours, left, left)
    known = [trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()]
    # Ours again for processors of others.
    for provider in {id(one): one for one in [*known, *ours]}.values():
        left = end - time.monotonic()
        if left > 0 and hasattr(provider, "force_flush"):
            provider.force_flush(int(left * 1000))
