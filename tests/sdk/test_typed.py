"""Typed and documented: a program in strict mypy, and a docstring on each public name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import heliograph.sdk

PROGRAM = """
from collections.abc import Sequence

from heliograph.sdk.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from heliograph.sdk.logs import LoggerProvider, LoggingHandler
from heliograph.sdk.logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import InMemoryMetricReader, MetricsData
from heliograph.sdk.metrics.view import DropAggregation, View
from heliograph.sdk.resources import Resource
from heliograph.sdk.trace import ReadableSpan, TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult


class Names(SpanExporter):
    def __init__(self) -> None:
        self.names: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS


resource = Resource.create({"service.name": "typed"})
traces = TracerProvider(resource=resource, shutdown_on_exit=False)
traces.add_span_processor(BatchSpanProcessor(Names(), max_queue_size=10))
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint="http://localhost:1")))
with traces.get_tracer("typed").start_as_current_span("one") as span:
    span.set_attribute("key", 1)
flushed: bool = traces.force_flush()
reader = InMemoryMetricReader()
view = View(instrument_name="unwanted", aggregation=DropAggregation())
metrics = MeterProvider([reader], views=[view])
metrics.get_meter("typed").create_counter("count").add(1, {"key": "value"})
data: MetricsData | None = reader.get_metrics_data()
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(InMemoryLogRecordExporter()))
handler = LoggingHandler(logger_provider=logs)
"""


def test_a_program_of_a_user_is_right_in_strict_mypy_and_a_wrong_one_is_not(
    tmp_path: Path,
) -> None:
    assert (Path(heliograph.sdk.__file__).parents[1] / "py.typed").exists()
    wrong = "\nBatchSpanProcessor(Names(), max_queue_size='ten')\n"
    for name, program in (("right", PROGRAM), ("wrong", PROGRAM + wrong)):
        (tmp_path / f"{name}.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=",
         "--python-executable", sys.executable, "right.py", "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )  # fmt: skip
    complaints = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(complaints) == 1, done.stdout + done.stderr
    assert complaints[0].startswith("wrong.py:")
    assert "max_queue_size" in complaints[0]


def public() -> Iterator[tuple[str, object]]:
    """Yield the public modules, and the classes and functions in them and their methods."""
    for info in pkgutil.walk_packages(heliograph.sdk.__path__, "heliograph.sdk."):
        if any(part.startswith("_") for part in info.name.split(".")):
            continue
        module = importlib.import_module(info.name)
        yield info.name, module
        for name, found in vars(module).items():
            owner = getattr(found, "__module__", None) or ""
            if name.startswith("_") or not owner.startswith("heliograph."):
                continue
            if inspect.isclass(found) or inspect.isfunction(found):
                yield f"{info.name}.{name}", found
            for method, own in vars(found).items() if inspect.isclass(found) else ():
                if not method.startswith("_") and (
                    inspect.isfunction(own) or isinstance(own, property)
                ):
                    yield f"{info.name}.{name}.{method}", getattr(found, method)


def test_each_public_name_has_a_docstring() -> None:
    names = dict(public())
    assert "heliograph.sdk.trace.TracerProvider.get_tracer" in names
    assert sorted(name for name, found in names.items() if not inspect.getdoc(found)) == []


UNSPECIFIED = {
    # Ours, or of contrib.
    "heliograph.sdk.processor.baggage",
    # Lists of attributes' values, as the official SDK has them.
    "heliograph.sdk.util",
    # The core's classes, which the modules that name them tell of.
    "heliograph._core",
}


def test_each_public_class_says_where_it_is_specified_and_what_it_raises() -> None:
    without = []
    for name, found in public():
        if not inspect.isclass(found) or found.__module__ in UNSPECIFIED:
            continue
        own = f"{found.__doc__} {inspect.getdoc(found.__init__)}"
        if "Spec:" not in f"{own} {sys.modules[found.__module__].__doc__}":
            without.append(f"{name}: Spec")
        made = vars(found).get("__init__")
        # A dataclass's is not written anywhere.
        is_written = inspect.isfunction(made) and "<string>" not in made.__code__.co_filename
        is_protocol = getattr(found, "_is_protocol", False)
        raises = is_written and not is_protocol and " raise " in inspect.getsource(made)
        if raises and "Raises" not in own:
            without.append(f"{name}: Raises")
    assert without == []
