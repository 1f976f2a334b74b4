"""Which module a YAML type is. One line a component.

Types of outside packages come from the entry-point group ``heliograph.components``.
"""

from heliograph.pipeline.component import Kind

BUILTIN: dict[tuple[Kind, str], str] = {
    (Kind.CONNECTOR, "forward"): "heliograph.connectors.forward",
    (Kind.EXPORTER, "nop"): "heliograph.exporters.nop",
    (Kind.EXTENSION, "basicauth"): "heliograph.extensions.basicauth",
    (Kind.EXTENSION, "bearertokenauth"): "heliograph.extensions.bearertokenauth",
    (Kind.EXTENSION, "health_check"): "heliograph.extensions.health_check",
}
"""(section, type) -> module."""

ALIASES: dict[tuple[Kind, str], str] = {
    (Kind.EXPORTER, "otlp_grpc"): "otlp",
    (Kind.EXPORTER, "otlp_http"): "otlphttp",
}
"""(section, other name) -> type."""
