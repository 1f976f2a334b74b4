"""Telemetry with everything OTLP has a field for, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2

REQUESTS = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
NOW = 1_790_000_000_000_000_000
WORDS = ("", "GET", "größer", "日本語", "a b", '"quoted"\\', "x" * 300, "\u0000\u001f\u2028", "🔭")


class Maker:
    """Makes messages out of one random stream."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def word(self) -> str:
        return self.random.choice(WORDS)

    def time(self) -> int:
        return NOW + self.random.randrange(10**12)

    def number(self) -> float:
        return self.random.choice((0.0, -0.5, 1e-300, 1e300, 3.0, self.random.uniform(-1e6, 1e6)))

    def integer(self) -> int:
        return self.random.choice((0, -1, 2**63 - 1, -(2**63), self.random.randrange(10**6)))

    def value(self, depth: int = 0) -> AnyValue:
        below = range(self.random.randrange(3))
        makers: list[Callable[[], dict[str, Any]]] = [
            dict,
            lambda: {"string_value": self.word()},
            lambda: {"bool_value": self.random.random() < 0.5},
            lambda: {"int_value": self.integer()},
            lambda: {"double_value": self.number()},
            lambda: {"bytes_value": self.random.randbytes(len(below))},
            lambda: {"array_value": {"values": [self.value(depth + 1) for _ in below]}},
            lambda: {"kvlist_value": {"values": self.attributes(depth + 1)}},
        ]
        return AnyValue(**self.random.choice(makers if depth < 2 else makers[:6])())

    def attributes(self, depth: int = 0) -> list[KeyValue]:
        count = self.random.randrange(5)
        return [KeyValue(key=f"key.{index}", value=self.value(depth)) for index in range(count)]

    def resource(self, tag: str) -> dict[str, Any]:
        service = KeyValue(key="service.name", value=AnyValue(string_value=tag))
        return {"attributes": [service, *self.attributes()], "dropped_attributes_count": 2}

    def scope(self) -> dict[str, Any]:
        return {
            "name": self.word(),
            "version": self.word(),
            "attributes": self.attributes(),
            "dropped_attributes_count": self.random.randrange(2),
        }

    def span(self) -> dict[str, Any]:
        event = {
            "time_unix_nano": self.time(),
            "name": self.word(),
            "attributes": self.attributes(),
            "dropped_attributes_count": self.random.randrange(3),
        }
        link = {
            "trace_id": self.random.randbytes(16),
            "span_id": self.random.randbytes(8),
            "trace_state": "vendor=a,other=b",
            "attributes": self.attributes(),
            "flags": 0x301,
        }
        return {
            "trace_id": self.random.randbytes(16),
            "span_id": self.random.randbytes(8),
            "parent_span_id": self.random.choice((b"", self.random.randbytes(8))),
            "trace_state": self.random.choice(("", "vendor=a")),
            "flags": self.random.choice((0, 1, 0x101)),
            "name": self.word(),
            "kind": self.random.randrange(6),
            "start_time_unix_nano": self.time(),
            "end_time_unix_nano": self.time(),
            "attributes": self.attributes(),
            "dropped_attributes_count": self.random.randrange(3),
            "events": [event] * self.random.randrange(3),
            "dropped_events_count": self.random.randrange(3),
            "links": [link] * self.random.randrange(3),
            "dropped_links_count": self.random.randrange(3),
            "status": {"code": self.random.randrange(3), "message": self.word()},
        }

    def exemplar(self) -> dict[str, Any]:
        value = self.random.choice(({"as_double": self.number()}, {"as_int": self.integer()}))
        return value | {
            "filtered_attributes": self.attributes(),
            "time_unix_nano": self.time(),
            "span_id": self.random.randbytes(8),
            "trace_id": self.random.randbytes(16),
        }

    def point(self) -> dict[str, Any]:
        return {
            "attributes": self.attributes(),
            "start_time_unix_nano": self.time(),
            "time_unix_nano": self.time(),
            "flags": self.random.randrange(2),
        }

    def number_point(self) -> dict[str, Any]:
        value = self.random.choice(({"as_double": self.number()}, {"as_int": self.integer()}, {}))
        return self.point() | value | {"exemplars": [self.exemplar()]}

    def spread(self) -> dict[str, float]:
        """The optional fields that both kinds of histogram have, there or not."""
        names = ("sum", "min", "max")
        return {name: self.number() for name in names if self.random.random() < 0.5}

    def metric(self, kind: str) -> dict[str, Any]:
        several = range(self.random.randrange(1, 4))
        temporality = self.random.randrange(1, 3)
        data: dict[str, Any] = {}
        if kind == "gauge":
            data = {"data_points": [self.number_point() for _ in several]}
        elif kind == "sum":
            data = {
                "data_points": [self.number_point() for _ in several],
                "aggregation_temporality": temporality,
                "is_monotonic": self.random.random() < 0.5,
            }
        elif kind == "histogram":
            histogram = {"count": 6, "bucket_counts": [1, 2, 3], "explicit_bounds": [0.5, 1.5]}
            bare = {"count": 6}
            points = [
                self.point()
                | self.random.choice((histogram, bare))
                | self.spread()
                | {"exemplars": [self.exemplar()]}
                for _ in several
            ]
            data = {"data_points": points, "aggregation_temporality": temporality}
        elif kind == "exponential_histogram":
            shape = {
                "count": 7,
                "scale": -1,
                "zero_count": 1,
                "zero_threshold": 1e-9,
                "positive": {"offset": -3, "bucket_counts": [1, 0, 2]},
                "negative": {"offset": 2, "bucket_counts": [3]},
            }
            points = [
                self.point() | shape | self.spread() | {"exemplars": [self.exemplar()]}
                for _ in several
            ]
            data = {"data_points": points, "aggregation_temporality": temporality}
        else:
            shape = {
                "count": 3,
                "sum": 1.5,
                "quantile_values": [
                    {"quantile": 0.0, "value": -1.0},
                    {"quantile": 0.99, "value": 2.0},
                ],
            }
            data = {"data_points": [self.point() | shape for _ in several]}
        return {
            "name": f"a.{kind}",
            "description": self.word(),
            "unit": "By",
            "metadata": self.attributes(),
            kind: data,
        }

    def record(self) -> dict[str, Any]:
        return {
            "time_unix_nano": self.time(),
            "observed_time_unix_nano": self.time(),
            "severity_number": self.random.randrange(25),
            "severity_text": self.word(),
            "body": self.value(),
            "attributes": self.attributes(),
            "dropped_attributes_count": self.random.randrange(3),
            "flags": self.random.randrange(2),
            "trace_id": self.random.choice((b"", self.random.randbytes(16))),
            "span_id": self.random.choice((b"", self.random.randbytes(8))),
            "event_name": self.random.choice(("", "checkout.done")),
        }

    def request(self, signal: str, tag: str) -> Message:
        """Two resources of two scopes each, and all kinds of item."""
        holder, group, items = {
            "traces": ("resource_spans", "scope_spans", "spans"),
            "metrics": ("resource_metrics", "scope_metrics", "metrics"),
            "logs": ("resource_logs", "scope_logs", "log_records"),
        }[signal]

        def fill() -> list[dict[str, Any]]:
            if signal == "metrics":
                kinds = [field.name for field in metrics_pb2.Metric.DESCRIPTOR.oneofs[0].fields]
                return [self.metric(kind) for kind in kinds]
            return [self.span() if signal == "traces" else self.record() for _ in range(5)]

        def scopes() -> list[dict[str, Any]]:
            return [
                {"scope": self.scope(), "schema_url": "https://example.org/1", items: fill()}
                for _ in range(2)
            ]

        resources = [
            {"resource": self.resource(tag), "schema_url": "https://example.org/2", group: scopes()}
            for _ in range(2)
        ]
        return REQUESTS[signal](**{holder: resources})


def items(message: Message) -> Iterator[tuple[str, bytes]]:
    """Each item of a request with all that it hangs on, under its service's name, as bytes."""
    for _, resources in message.ListFields():
        for resource in resources:
            scopes, above = separated(resource)
            service = resource.resource.attributes[0].value.string_value
            for scope in scopes:
                entries, beside = separated(scope)
                for entry in entries:
                    yield service, above + beside + entry.SerializeToString(deterministic=True)


def separated(message: Message) -> tuple[list[Message], bytes]:
    """The children of a resource's or scope's group, and the group without them as bytes."""
    names = {"scope_spans", "scope_metrics", "scope_logs", "spans", "metrics", "log_records"}
    name = next(field.name for field in message.DESCRIPTOR.fields if field.name in names)
    bare = type(message)()
    bare.CopyFrom(message)
    bare.ClearField(name)
    return list(getattr(message, name)), bare.SerializeToString(deterministic=True)
