"""OTLP over HTTP, without requests and protobuf.

Spec: OpenTelemetry Protocol Exporter.
"""

import enum


class Compression(enum.Enum):
    """How requests are packed."""

    NoCompression = "none"
    Deflate = "deflate"
    Gzip = "gzip"
    Zstd = "zstd"


__all__ = ["Compression"]
