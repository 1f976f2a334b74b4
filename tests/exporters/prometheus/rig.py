"""An exporter under test: fake time, OTLP/JSON in, its page read as a scraper would."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.internal.decoder import _DecodeVarint32
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import DESCRIPTOR as TIMESTAMP

from heliograph.exporters.prometheus import Config, Exporter
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Kind
from heliograph.testing import FakeClock, settings

TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)
ACCEPT = {"text": TEXT, "openmetrics": OPENMETRICS, "protobuf": PROTOBUF}


class Rig:
    """``async with Rig(config) as rig``."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.clock = FakeClock()
        written = {"endpoint": "127.0.0.1:0", **(config or {})}
        given = settings("prometheus", Kind.EXPORTER, clock=self.clock)
        self.telemetry = given.telemetry
        self.exporter = Exporter(Config.model_validate(written), given)

    async def __aenter__(self) -> Rig:
        await self.exporter.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.exporter.stop()

    async def send(self, request: Any) -> None:
        data = json.dumps(request).encode()
        await self.exporter.consume(Batch.from_json(data, Signal.METRICS))

    async def get(self, accept: str = TEXT, path: str = "/metrics") -> tuple[int, str, bytes]:
        """Return status, content type and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.exporter.port)
        asked = f"GET {path} HTTP/1.1\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        writer.write(asked.encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        line, *headers = head.decode().split("\r\n")
        kinds = dict(header.split(": ", 1) for header in headers)
        return int(line.split()[1]), kinds["Content-Type"], body

    async def shows(self, style: str = "text") -> str:
        """Return the page; ``style`` is ``text``, ``openmetrics`` or ``protobuf``, and an escaping
        after a space."""
        kind, _, escaping = style.partition(" ")
        accept = f"{ACCEPT[kind]};escaping={escaping}" if escaping else ACCEPT[kind]
        status, _, body = await self.get(accept)
        assert status == 200
        if kind != "protobuf":
            return body.decode()
        printed = (text_format.MessageToString(family, as_utf8=True) for family in families(body))
        return "---\n".join(printed)


def families(body: bytes) -> list[Any]:
    """Read the protobuf exposition with protobuf's own classes."""
    found, at = [], 0
    while at < len(body):
        size, at = _DecodeVarint32(body, at)
        family = METRIC_FAMILY()
        family.ParseFromString(body[at : at + size])
        found.append(family)
        at += size
    return found


_FIELDS = {
    "LabelPair": "string name 1, string value 2",
    "Gauge": "double value 1",
    "Counter": "double value 1, Exemplar exemplar 2, Timestamp created_timestamp 3",
    "Quantile": "double quantile 1, double value 2",
    "Summary": (
        "uint64 sample_count 1, double sample_sum 2, *Quantile quantile 3, "
        "Timestamp created_timestamp 4"
    ),
    "Untyped": "double value 1",
    "Histogram": (
        "uint64 sample_count 1, double sample_sum 2, *Bucket bucket 3, sint32 schema 5, "
        "double zero_threshold 6, uint64 zero_count 7, *BucketSpan negative_span 9, "
        "*sint64 negative_delta 10, *BucketSpan positive_span 12, *sint64 positive_delta 13, "
        "Timestamp created_timestamp 15, *Exemplar exemplars 16"
    ),
    "Bucket": "uint64 cumulative_count 1, double upper_bound 2, Exemplar exemplar 3",
    "BucketSpan": "sint32 offset 1, uint32 length 2",
    "Exemplar": "*LabelPair label 1, double value 2, Timestamp timestamp 3",
    "Metric": (
        "*LabelPair label 1, Gauge gauge 2, Counter counter 3, Summary summary 4, "
        "Untyped untyped 5, Histogram histogram 7, int64 timestamp_ms 6"
    ),
    "MetricFamily": (
        "string name 1, string help 2, MetricType type 3, *Metric metric 4, string unit 5"
    ),
}
"""metrics.proto of prometheus/client_model, as far as we write it."""


def _metric_family() -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto(
        name="metrics.proto", package="io.prometheus.client", syntax="proto2"
    )
    file.dependency.append(TIMESTAMP.name)
    kinds = file.enum_type.add(name="MetricType")
    for number, kind in enumerate(("COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM")):
        kinds.value.add(name=kind, number=number)
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for written in fields.split(", "):
            kind, field, number = written.split()
            repeated, kind = kind.startswith("*"), kind.lstrip("*")
            made = message.field.add(name=field, number=int(number), label=3 if repeated else 1)
            scalar = dict(descriptor_pb2.FieldDescriptorProto.Type.items())
            if f"TYPE_{kind.upper()}" in scalar:
                made.type = scalar[f"TYPE_{kind.upper()}"]
            else:
                package = "google.protobuf" if kind == "Timestamp" else "io.prometheus.client"
                made.type_name = f".{package}.{kind}"
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("io.prometheus.client.MetricFamily")
    )


METRIC_FAMILY = _metric_family()
