"""Export nowhere."""

from typing import Any, ClassVar

from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig
from heliograph.pipeline.fields import Field


class Auth(ComponentConfig):
    authenticator: str = Field(description="An extension.")


class Config(ComponentConfig):
    endpoint: str = Field(min_length=1, description="Where to send.")
    auth: Auth | None = Field(None, description="Who authenticates.")
    sending_queue: dict[str, Any] = Field({}, description="Queue.")


class Exporter:
    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.TRACES, Signal.METRICS, Signal.LOGS})
