"""Moving what was made by one provider to another.

To a provider of ours everything moves as it is. To another, the objects that programs hold pass on
what they are told (`_forward`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from heliograph.sdk._exit import forget
from heliograph.sdk._worker import attach_exporting

MILLIS = 2000
"""What flushing may take of that which nobody asked for."""


def destination(sender: Any) -> tuple[str, str] | None:
    """Return what two processors or readers with the same destination have in common."""
    exporter = getattr(sender, "span_exporter", None) or getattr(sender, "_exporter", None)
    exporter = exporter or getattr(getattr(sender, "_batch_processor", None), "_exporter", None)
    if exporter is None:
        return None
    endpoint = getattr(exporter, "_endpoint", None)
    if endpoint:
        return "otlp", str(endpoint).partition("://")[2] or str(endpoint)
    name = type(exporter).__name__
    return ("console", "") if name.startswith("Console") else None


def is_default(sender: Any) -> bool:
    """Whether nobody asked for the exporter of a processor or reader."""
    exporter = getattr(sender, "span_exporter", None) or getattr(sender, "_exporter", sender)
    return bool(getattr(exporter, "_is_default", False))


def aside(*calls: Callable[[], Any]) -> None:
    """Flush what is let go, without the program waiting for it."""

    def run() -> None:
        attach_exporting()
        for call in calls:
            call()

    threading.Thread(target=run, name="heliograph-handover").start()


def traces(ours: Any, new: Any) -> None:
    """Move tracers and processors."""
    from heliograph.sdk.configuration import _forward  # noqa: PLC0415 - as needed
    from heliograph.sdk.trace import TracerProvider  # noqa: PLC0415 - as needed

    old = ours._active_span_processor
    _move(
        old._span_processors,
        new,
        "_active_span_processor",
        "_span_processors",
        "add_span_processor",
    )
    ours._active_span_processor = type(old)()
    forget(ours)
    with ours._lock:
        tracers = dict(ours._tracers)
    for scope, tracer in tracers.items():
        if not isinstance(new, TracerProvider):
            _forward.tracer(tracer, new)
            continue
        with new._lock:
            new._tracers.setdefault(scope, tracer)
        tracer._sampler = new.sampler
        tracer._resource = new._resource
        tracer.span_processor = new._active_span_processor
        tracer._route = new._route
        tracer._id_generator = new.id_generator
        tracer._span_limits = new._span_limits
        tracer._set_tracer_config(new._config(scope))
    _stand_in(ours, new, "get_tracer", "add_span_processor", "force_flush")


def logs(ours: Any, new: Any) -> None:
    """Move loggers and processors."""
    from heliograph.sdk.configuration import _forward  # noqa: PLC0415 - as needed
    from heliograph.sdk.logs import LoggerProvider  # noqa: PLC0415 - as needed

    old = ours._multi_log_record_processor
    _move(
        old._log_record_processors,
        new,
        "_multi_log_record_processor",
        "_log_record_processors",
        "add_log_record_processor",
    )
    ours._multi_log_record_processor = type(old)()
    forget(ours)
    with ours._lock:
        loggers = dict(ours._loggers)
    for scope, logger in loggers.items():
        if not isinstance(new, LoggerProvider):
            _forward.logger(logger, new)
            continue
        with new._lock:
            new._loggers.setdefault(scope, logger)
        logger._multi_log_record_processor = new._multi_log_record_processor
        logger._route = new._route
        logger._log_record_limits = new._log_record_limits
        logger._set_logger_config(new._config(scope))
        logger._set_resource(new._resource)
    _stand_in(ours, new, "get_logger", "add_log_record_processor", "force_flush")


def metrics(ours: Any, new: Any) -> None:
    """Move meters, instruments and readers. What was measured before is exported a last time."""
    from heliograph.sdk.configuration import _forward  # noqa: PLC0415 - as needed
    from heliograph.sdk.metrics import MeterProvider  # noqa: PLC0415 - as needed

    is_ours = isinstance(new, MeterProvider)
    readers = list(new._streams) if is_ours else getattr(new, "_all_metric_readers", ())
    taken = {destination(reader) for reader in readers} - {None}
    with ours._lock:
        meters, old = dict(ours._meters), dict(ours._streams)
        ours._streams.clear()
    forget(ours)
    for scope, meter in meters.items():
        if not is_ours:
            _forward.meter(meter, new)
            continue
        with new._lock:
            new._meters.setdefault(scope, meter)
            meter._provider = new
            meter._config = new._config(scope)
            for instrument in meter._instruments.values():
                instrument._enabled = meter._config.is_enabled
                new._introduce(instrument)
    for reader, streams in old.items():
        streams._observed.clear()
        last = streams.collect(ours._resource, 1000)
        ours._owned.discard(reader)
        calls: list[Callable[[], Any]] = []
        if last is not None:
            calls.append(partial(reader._receive_metrics, last))
        if (
            is_default(reader)
            or destination(reader) in taken
            or not hasattr(new, "add_metric_reader")
        ):
            reader._set_collect_callback(lambda *args, **kwargs: None)
            calls.append(partial(reader.shutdown, MILLIS))
        else:
            new.add_metric_reader(reader)
        if calls:
            aside(*calls)
    _stand_in(ours, new, "get_meter", "add_metric_reader", "force_flush")


def _move(processors: Any, new: Any, holder: str, held: str, method: str) -> None:
    """Hand processors to a provider, but default exporters, and those whose destination it has or
    gets from the program later."""
    multi = getattr(new, holder, None)
    add: Any = getattr(new, method, None)
    taken = {destination(one) for one in getattr(multi, held, ())} - {None}
    moved: dict[tuple[str, str], Any] = {}
    for one in processors:
        goal = destination(one)
        if is_default(one) or goal in taken or add is None:
            aside(partial(one.shutdown, MILLIS))
            continue
        add(one)
        if goal is not None:
            moved[goal] = one
    if not moved:
        return

    def add_of_the_program(processor: Any) -> None:
        double = moved.pop(destination(processor) or ("", ""), None)
        if double is not None:
            _remove(multi, held, double)
            aside(partial(double.shutdown, MILLIS))
        add(processor)

    setattr(new, method, add_of_the_program)


def _remove(multi: Any, held: str, processor: Any) -> None:
    if hasattr(multi, "remove"):
        multi.remove(processor)
        return
    left = tuple(one for one in getattr(multi, held) if one is not processor)
    setattr(multi, held, left)


def _stand_in(ours: Any, new: Any, *methods: str) -> None:
    """Let those who still hold our provider reach the new one."""
    for name in methods:
        if hasattr(new, name):
            setattr(
                ours, name, lambda *args, _name=name, **kwargs: getattr(new, _name)(*args, **kwargs)
            )
