"""Readings of this process, taken when somebody asks."""

from __future__ import annotations

import time
from pathlib import Path

from heliograph._core import admission
from heliograph.pipeline.system import page_size
from heliograph.pipeline.telemetry import Telemetry

_STATM = Path("/proc/self/statm")
_RESIDENT, _DATA = 1, 5
_PAGE = page_size()


def measure(telemetry: Telemetry) -> None:
    """Let everybody who reads the metrics see this process's; its uptime begins now."""
    started = time.monotonic()
    telemetry.gauge("otelcol_process_uptime", lambda: time.monotonic() - started)
    telemetry.gauge("otelcol_process_cpu_seconds", time.process_time)
    telemetry.gauge("otelcol_process_memory_rss", resident)
    telemetry.gauge("otelcol_process_runtime_heap_alloc_bytes", lambda: admission().used)
    telemetry.gauge("otelcol_process_runtime_total_sys_memory_bytes", lambda: _statm(_DATA) * _PAGE)
    telemetry.gauge("heliograph_admission_used_bytes", lambda: admission().used)
    telemetry.gauge("heliograph_admission_limit_bytes", lambda: admission().limit)


def resident() -> int:
    """Return the bytes of memory that this process has now; 0 where that cannot be read."""
    return _statm(_RESIDENT) * _PAGE


def _statm(field: int) -> int:
    try:
        return int(_STATM.read_text().split()[field])
    except (OSError, ValueError, IndexError):
        return 0
