"""Exporters and samplers of ours for programs on the official SDK, which finds them by name.

Entry points name what is here, such as ``GrpcSpanExporter``. Each is made when it is first asked
for: a subclass of ours and of the official interface, with the official results; where there is no
official SDK, ours as it is.
"""

from collections.abc import Callable
from typing import Any

from heliograph.sdk.configuration import _components as components
from heliograph.sdk.trace import sampling

_FORMS = {
    "Grpc": "otlp_proto_grpc",
    "Http": "otlp_proto_http",
    "JsonHttp": "otlp_json_http",
    "File": "otlp_file",
}


def __getattr__(name: str) -> Any:
    for signal, (ending, adapt) in _SIGNALS.items():
        form = _FORMS.get(name.removesuffix(ending))
        if form is not None and name.endswith(ending):
            made = adapt(components.exporter_class(signal, form), name)
            globals()[name] = made
            return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _adapted(name: str, ours: Any, interface: Any, **methods: Any) -> Any:
    if issubclass(ours, interface):
        return ours
    described = {"__module__": __name__, "__doc__": ours.__doc__}
    return type(name, (ours, interface), described | methods)


def _spans(ours: Any, name: str) -> Any:
    try:
        from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: PLC0415
    except ModuleNotFoundError:
        return ours

    def export(self: Any, spans: Any) -> Any:
        return SpanExportResult[ours.export(self, spans).name]

    return _adapted(name, ours, SpanExporter, export=export)


def _logs(ours: Any, name: str) -> Any:
    try:
        from opentelemetry.sdk._logs.export import (  # noqa: PLC0415
            LogRecordExporter,
            LogRecordExportResult,
        )
    except ModuleNotFoundError:
        return ours

    def export(self: Any, batch: Any) -> Any:
        return LogRecordExportResult[ours.export(self, batch).name]

    return _adapted(name, ours, LogRecordExporter, export=export)


def _metrics(ours: Any, name: str) -> Any:
    try:
        from opentelemetry.sdk import metrics  # noqa: PLC0415
        from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415
            AggregationTemporality,
            MetricExporter,
            MetricExportResult,
        )
    except ModuleNotFoundError:
        return ours

    def prefer(self: Any, *given: Any) -> None:
        ours._prefer(self, *given)
        self._preferred_temporality = {
            getattr(metrics, kind.__name__): AggregationTemporality[wanted.name]
            for kind, wanted in self._preferred_temporality.items()
        }
        self._preferred_aggregation = {
            getattr(metrics, kind.__name__): _official_aggregation(wanted)
            for kind, wanted in self._preferred_aggregation.items()
        }

    def export(self: Any, metrics_data: Any, timeout_millis: float = 10_000, **more: Any) -> Any:
        return MetricExportResult[ours.export(self, metrics_data, timeout_millis, **more).name]

    return _adapted(name, ours, MetricExporter, _prefer=prefer, export=export)


def _official_aggregation(wanted: Any) -> Any:
    """Return the official one of our own defaults; what a program gives is official already."""
    from opentelemetry.sdk.metrics import view  # noqa: PLC0415 - where it is installed

    is_ours = type(wanted).__module__.startswith("heliograph.")
    return getattr(view, type(wanted).__name__)() if is_ours else wanted


_SIGNALS: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "traces": ("SpanExporter", _spans),
    "metrics": ("MetricExporter", _metrics),
    "logs": ("LogExporter", _logs),
}


def traceidratio(argument: str | None) -> Any:
    """Return a sampler that keeps a share of the traces, with its threshold in the trace state."""
    return _sampler("traceidratio", argument)


def parentbased_traceidratio(argument: str | None) -> Any:
    """Return `traceidratio` for traces that begin here; what the parent says for others."""
    return _sampler("parentbased_traceidratio", argument)


def jaeger_remote(argument: str | None) -> Any:
    """Return a sampler that does as a Jaeger backend says."""
    return _sampler("jaeger_remote", argument)


def parentbased_jaeger_remote(argument: str | None) -> Any:
    """Return `jaeger_remote` for traces that begin here; what the parent says for others."""
    return _sampler("parentbased_jaeger_remote", argument)


def _sampler(name: str, argument: str | None) -> Any:
    made: Any = sampling._BY_NAME[name]
    ours = made(argument or "")
    try:
        from opentelemetry.sdk.trace import sampling as official  # noqa: PLC0415
    except ModuleNotFoundError:
        return ours
    if isinstance(ours, official.Sampler):
        return ours

    class Sampler(official.Sampler):  # type: ignore[misc,unused-ignore]
        def should_sample(self, *given: Any, **named: Any) -> Any:
            found = ours.should_sample(*given, **named)
            decision = official.Decision[found.decision.name]
            return official.SamplingResult(decision, found.attributes, found.trace_state)

        def get_description(self) -> str:
            return str(ours.get_description())

    return Sampler()
