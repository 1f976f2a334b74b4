"""Process nothing."""

from typing import ClassVar

from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig


class Config(ComponentConfig):
    pass


class Processor:
    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.TRACES, Signal.METRICS, Signal.LOGS})
