"""Make metrics of traces."""

from typing import ClassVar

from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig


class Config(ComponentConfig):
    pass


class Connector:
    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.TRACES, Signal.LOGS})
    feeds: ClassVar[dict[Signal, frozenset[Signal]]] = {
        Signal.TRACES: frozenset({Signal.METRICS}),
        Signal.LOGS: frozenset({Signal.LOGS}),
    }
