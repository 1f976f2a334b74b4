"""Fixtures for pytest: the spans, metrics and log records of the code under test.

pytest loads this module by itself where heliograph is installed; the SDK is imported by the first
test that asks for a fixture. Each worker of pytest-xdist records on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from heliograph.sdk.logs import ReadableLogRecord
    from heliograph.sdk.metrics.export import Metric
    from heliograph.sdk.trace import ReadableSpan


def _globals() -> list[tuple[Any, str, str]]:
    """Where the API keeps its providers: module, name, and name of the guard that allows one."""
    import opentelemetry._logs._internal as logs  # noqa: PLC0415 - most tests never need it
    import opentelemetry.metrics._internal as metrics  # noqa: PLC0415
    from opentelemetry import trace  # noqa: PLC0415

    return [
        (trace, "_TRACER_PROVIDER", "_TRACER_PROVIDER_SET_ONCE"),
        (metrics, "_METER_PROVIDER", "_METER_PROVIDER_SET_ONCE"),
        (logs, "_LOGGER_PROVIDER", "_LOGGER_PROVIDER_SET_ONCE"),
    ]


@pytest.fixture
def no_providers() -> Iterator[None]:
    """Begin the test without global providers, so that it may set its own; the former come back."""
    from opentelemetry.util._once import Once  # noqa: PLC0415

    kept = [
        (module, name, getattr(module, name)) for place in _globals() for module, name in _of(place)
    ]
    for module, provider, guard in _globals():
        setattr(module, provider, None)
        setattr(module, guard, Once())
    yield
    for module, name, value in kept:
        setattr(module, name, value)


def _of(place: tuple[Any, str, str]) -> Iterator[tuple[Any, str]]:
    module, *names = place
    for name in names:
        yield module, name


class _Recorder:
    """One set of providers for all tests of a process, as the API's tracers, meters and loggers
    that a module keeps would go on recording into those of the first test."""

    def __init__(self) -> None:
        from heliograph.sdk.logs import LoggerProvider  # noqa: PLC0415
        from heliograph.sdk.logs.export import (  # noqa: PLC0415
            InMemoryLogRecordExporter,
            SimpleLogRecordProcessor,
        )
        from heliograph.sdk.metrics import (  # noqa: PLC0415
            Counter,
            Histogram,
            MeterProvider,
            ObservableCounter,
        )
        from heliograph.sdk.metrics.export import (  # noqa: PLC0415
            AggregationTemporality,
            InMemoryMetricReader,
        )
        from heliograph.sdk.trace import TracerProvider  # noqa: PLC0415
        from heliograph.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
        from heliograph.sdk.trace.export.in_memory_span_exporter import (  # noqa: PLC0415
            InMemorySpanExporter,
        )

        self.spans = InMemorySpanExporter()
        self.logs = InMemoryLogRecordExporter()
        kinds: tuple[type, ...] = (Counter, Histogram, ObservableCounter)
        deltas = dict.fromkeys(kinds, AggregationTemporality.DELTA)
        self.metrics = InMemoryMetricReader(deltas)
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        loggers = LoggerProvider(shutdown_on_exit=False)
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self.logs))
        meters = MeterProvider([self.metrics], shutdown_on_exit=False)
        self._providers = (tracers, meters, loggers)

    def forget(self) -> None:
        self.spans.clear()
        self.logs.clear()
        self.metrics.get_metrics_data()

    def become_global(self) -> None:
        from opentelemetry import _logs, metrics, trace  # noqa: PLC0415

        tracers, meters, loggers = self._providers
        trace.set_tracer_provider(tracers)
        metrics.set_meter_provider(meters)
        _logs.set_logger_provider(loggers)


@pytest.fixture(scope="session")
def _heliograph_recorder() -> _Recorder:
    return _Recorder()


@pytest.fixture
def _heliograph_recording(
    no_providers: None, _heliograph_recorder: _Recorder
) -> Iterator[_Recorder]:
    _heliograph_recorder.become_global()
    _heliograph_recorder.forget()
    yield _heliograph_recorder
    _heliograph_recorder.forget()


@pytest.fixture
def spans(_heliograph_recording: _Recorder) -> Callable[[], list[ReadableSpan]]:
    """Return what gives the spans that ended in this test, in the order in which they ended."""
    return lambda: list(_heliograph_recording.spans.get_finished_spans())


@pytest.fixture
def logs(_heliograph_recording: _Recorder) -> Callable[[], list[ReadableLogRecord]]:
    """Return what gives the log records of this test, oldest first."""
    return lambda: list(_heliograph_recording.logs.get_finished_logs())


@pytest.fixture
def metrics(_heliograph_recording: _Recorder) -> Callable[[], list[Metric]]:
    """Return what gives the metrics since the test began, or since it was last called.

    Counters and histograms count from there; gauges and up-down counters tell their value.
    """

    def collect() -> list[Metric]:
        data = _heliograph_recording.metrics.get_metrics_data()
        return [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    return collect
