"""Collect and export at regular times."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from opentelemetry import context

from heliograph.sdk import _variables as variables
from heliograph.sdk._batching import trouble_of
from heliograph.sdk._exit import heed_other_ends
from heliograph.sdk._thread import Elsewhere, Thread
from heliograph.sdk._worker import attach_exporting
from heliograph.sdk.metrics._internal.collected import Collected
from heliograph.sdk.metrics._internal.exceptions import MetricsTimeoutError
from heliograph.sdk.metrics._internal.export._split import split
from heliograph.sdk.metrics._internal.export.producer import MetricFilter, MetricProducer
from heliograph.sdk.metrics._internal.export.reader import CardinalityLimits, MetricReader
from heliograph.sdk.metrics._internal.point import MetricsData
from heliograph.sdk.metrics._internal.view import check_limit

_logger = logging.getLogger(__name__)


class PeriodicExportingMetricReader(MetricReader):
    """Collects at regular times, and exports what it collects.

    Args:
        exporter: ours or one written for the official SDK.
        export_interval_millis: between two collections; OTEL_METRIC_EXPORT_INTERVAL when not given,
            a minute without it. Infinity never collects by itself.
        export_timeout_millis: what a collection and its export may take;
            OTEL_METRIC_EXPORT_TIMEOUT when not given, 30 s without it.
        cardinality_limits: by class of instrument, as for every reader.
        max_export_batch_size: the most points of an export; a larger collection is several exports
            one after the other, within the one timeout. No bound when not given.
        metric_producers, metric_filter: as for every reader.

    Raises: ValueError when the interval or the size is not above zero.
    Spec: Metrics SDK, Periodic exporting MetricReader.
    """

    component_type = "periodic_metric_reader"

    def __init__(
        self,
        exporter: Any,
        export_interval_millis: float | None = None,
        export_timeout_millis: float | None = None,
        cardinality_limits: CardinalityLimits | None = None,
        *,
        max_export_batch_size: int | None = None,
        metric_producers: Sequence[MetricProducer] = (),
        metric_filter: MetricFilter | None = None,
    ) -> None:
        check_limit("max_export_batch_size", max_export_batch_size)
        super().__init__(
            getattr(exporter, "_preferred_temporality", None),
            getattr(exporter, "_preferred_aggregation", None),
            cardinality_limits,
            metric_producers=metric_producers,
            metric_filter=metric_filter,
        )
        interval = export_interval_millis
        if interval is None:
            interval = variables.integer("OTEL_METRIC_EXPORT_INTERVAL", 60_000) or 1
        if not interval > 0:
            raise ValueError(f"interval value {interval} is invalid and needs to be above zero.")
        self._exporter = exporter
        self._most = max_export_batch_size
        self._interval = interval / 1e3
        self._timeout_millis: float
        if export_timeout_millis is None:
            self._timeout_millis = variables.timeout("OTEL_METRIC_EXPORT_TIMEOUT", 30_000)
        else:
            self._timeout_millis = export_timeout_millis
        self._export_lock = threading.RLock()
        self._elsewhere = Elsewhere("heliograph-metrics-export")
        self._exported = True
        self._ended = threading.Event()
        self._last_millis = self._timeout_millis
        self._is_leaving = False
        self._is_done = False
        self._done: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        if interval < math.inf:
            self._start()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collect and export now; return whether it arrived in time."""
        deadline = time.monotonic() + timeout_millis / 1e3
        if self._is_leaving:
            return self._exported
        if not self._collect_now(timeout_millis):
            return False
        left = max(0.0, (deadline - time.monotonic()) * 1e3)
        return self._outside(self._exporter.force_flush, left) is not False

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Collect and export a last time, within the time, and end."""
        if self._ended.is_set() and not self._is_leaving:
            _logger.warning("PeriodicExportingMetricReader.shutdown was called before.")
            return
        deadline = time.monotonic() + timeout_millis / 1e3
        if self._is_leaving:
            self._is_leaving = False
            self._exporter.shutdown(timeout_millis=timeout_millis)
            return
        self._last_millis = min(timeout_millis, self._timeout_millis)
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            if self._thread.is_alive():
                self._await_last(max(0.0, deadline - time.monotonic()))
            else:
                self._collect_now(self._last_millis)
        left = max(0.0, (deadline - time.monotonic()) * 1e3)
        self._exporter.shutdown(timeout_millis=left)

    def begin_leaving(self, within: float) -> None:
        """Collect and export a last time, in so many seconds; does not wait."""
        if self._ended.is_set():
            return
        self._last_millis = min(within * 1e3, self._timeout_millis)
        self._is_leaving = True
        self._exported = True
        self._ended.set()
        if self._thread is not None and not self._thread.is_alive():
            self._collect_now(self._last_millis)

    def has_left(self, wait: float) -> bool:
        """Whether that is done; waits so many seconds for it."""
        if self._thread is None or not self._is_leaving:
            return True
        return self._await_last(wait)

    def progress(self) -> int:
        """Return a number that changes when something was exported."""
        return int(self._is_leaving and self.has_left(0) and self._exported)

    def abandon(self) -> None:
        """Wait for nothing any more: nothing here waits."""

    def lost(self) -> str:
        """Return what was not exported, "" when all was."""
        is_lost = self._is_leaving and not (self.has_left(0) and self._exported)
        return "metrics" if is_lost else ""

    def trouble(self) -> str:
        """Return where it should have gone, and why it did not; "" when nobody knows."""
        return trouble_of(self._exporter)

    def _await_last(self, wait: float) -> bool:
        """Whether the thread made its last collection; waits so many seconds for it.

        Not by joining it: one that gevent has replaced may stay alive.
        """
        if not self._is_done and wait > 0:
            with suppress(queue.Empty):
                self._done.get(timeout=wait)
        return self._is_done or self._thread is None or not self._thread.is_alive()

    def _start(self) -> None:
        # One that fits the thread: gevent replaces both, maybe after this module was imported.
        self._done = queue.SimpleQueue()
        self._is_done = False
        self._thread = Thread(self._run, "OtelPeriodicExportingMetricReader")
        heed_other_ends()
        try:
            self._thread.start()
        except RuntimeError:
            # The interpreter is shutting down; who shuts down then collects itself.
            return

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            self._collect_now(self._timeout_millis)
        self._collect_now(self._last_millis)
        self._is_done = True
        self._done.put(None)

    def _collect_now(self, timeout_millis: float) -> bool:
        """Collect and export within the time; return whether that went well, say what did not."""
        end = time.monotonic() + timeout_millis / 1e3
        if not self._export_lock.acquire(timeout=timeout_millis / 1e3):
            return False
        try:
            self._exported = True
            self.collect(timeout_millis=max(0.0, end - time.monotonic()) * 1e3)
            return self._exported
        except MetricsTimeoutError as error:
            _logger.warning("Metrics were not collected: %s.", error)
            return False
        except Exception:
            _logger.exception("Metrics were not collected.")
            return False
        finally:
            self._export_lock.release()

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        end = time.monotonic() + timeout_millis / 1e3
        token = attach_exporting()
        try:
            for part in self._parts(metrics_data):
                left = max(0.0, (end - time.monotonic()) * 1e3)
                result = self._outside(self._exporter.export, left, part)
                # Of the official SDK's enumeration or of ours.
                self._exported &= getattr(result, "name", "SUCCESS") == "SUCCESS"
        except Exception:
            self._exported = False
            _logger.exception("Metrics were not exported.")
        finally:
            context.detach(token)

    def _outside(self, method: Callable[..., Any], timeout_millis: float, *given: Any) -> Any:
        """Call the exporter; one of others on a thread, so that it may ignore the time.

        Raises: TimeoutError when it took longer, or has not returned from the call before.
        """
        call = partial(method, *given, timeout_millis=timeout_millis)
        if type(self._exporter).__module__.startswith("heliograph."):
            return call()
        return self._elsewhere.run(call, timeout_millis / 1e3)

    def _parts(self, data: Any) -> Iterable[Any]:
        """Return what to export, one after the other, as the exporter takes it."""
        small = self._most is None
        if isinstance(data, Collected):
            small = self._most is None or data.batch.items <= self._most
            data = data.shaped_for(self._exporter)
            if not small and isinstance(data, Collected):
                data = data.plain()
        return [data] if small or self._most is None else split(data, self._most)

    def _after_fork(self) -> None:
        """In the child: a lock that no thread of the parent holds."""
        self._export_lock = threading.RLock()
        self._elsewhere = Elsewhere("heliograph-metrics-export")
        ended = self._ended.is_set()
        self._ended = threading.Event()
        if ended:
            self._ended.set()
        self._thread = None

    def _begin(self) -> None:
        if self._thread is None and self._interval < math.inf and not self._ended.is_set():
            self._start()
