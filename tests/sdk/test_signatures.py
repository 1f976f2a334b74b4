"""Exporters and processors are made as the official ones are."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import pytest

CLASSES = [
    "sdk.trace.export:BatchSpanProcessor",
    "sdk.trace.export:SimpleSpanProcessor",
    "sdk.trace.export:ConsoleSpanExporter",
    "sdk.trace:ConcurrentMultiSpanProcessor",
    "sdk.trace:SynchronousMultiSpanProcessor",
    "sdk._logs.export:BatchLogRecordProcessor",
    "sdk._logs.export:SimpleLogRecordProcessor",
    "sdk._logs.export:ConsoleLogRecordExporter",
    "sdk._logs._internal:ConcurrentMultiLogRecordProcessor",
    "sdk._logs._internal:SynchronousMultiLogRecordProcessor",
    "sdk._logs:LoggingHandler",
    "sdk.metrics.export:ConsoleMetricExporter",
    "sdk.metrics.export:PeriodicExportingMetricReader",
    *(
        f"exporter.otlp.proto.{way}.{module}:{name}"
        for way in ("grpc", "http")
        for module, name in (
            ("trace_exporter", "OTLPSpanExporter"),
            ("metric_exporter", "OTLPMetricExporter"),
            ("_log_exporter", "OTLPLogExporter"),
        )
    ),
]


def find(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("path", CLASSES)
def test_arguments_are_the_official_ones_in_their_order(path: str) -> None:
    ours_path = path.replace("sdk.", "heliograph.sdk.", 1)
    if path.startswith("exporter."):
        ours_path = f"heliograph.sdk.{path}"
    ours = inspect.signature(find(ours_path.replace("._logs._internal", ".logs")))
    official = inspect.signature(find(f"opentelemetry.{path}"))
    by_place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    places = [
        [one.name for one in side.parameters.values() if one.kind is by_place]
        for side in (ours, official)
    ]
    assert places[0][: len(places[1])] == places[1]
    ours.bind_partial(
        **{
            name: None
            for name, one in official.parameters.items()
            if one.kind is not inspect.Parameter.VAR_KEYWORD and not name.startswith("_")
        }
    )


def test_subclasses_that_hand_their_arguments_on_work() -> None:
    processor, exporter = find("heliograph.sdk.trace.export:BatchSpanProcessor"), object()

    class Mine(processor):  # type: ignore[misc, valid-type]
        def __init__(self, exporter: Any, **options: Any) -> None:
            super().__init__(exporter, **options)
            self.mine = True

    made = Mine(exporter, max_queue_size=7)
    assert made.mine
    assert made.span_exporter is exporter
