"""Receive nothing, with every kind of option."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal

from heliograph.errors import Problem
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig
from heliograph.pipeline.fields import ByteSize, Duration, Field, Headers, Secret


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Tls(ComponentConfig):
    insecure: bool = Field(False, description="No TLS.")
    ca_file: Path | None = Field(None, description="Authorities.")
    min_version: Literal["1.2", "1.3"] = Field("1.2", description="Oldest version.")


class Grpc(ComponentConfig):
    endpoint: str = Field("localhost:1", description="Where to listen.")
    max_size: ByteSize = Field(4 * 2**20, gt=0, description="Bound of a message.")
    tls: Tls | None = Field(None, description="Encryption.")

    def check(self) -> Iterator[Problem]:
        if ":" not in self.endpoint:
            yield Problem("endpoint", "has no port", fix=f"write {self.endpoint}:4317")


class Protocols(ComponentConfig):
    grpc: Grpc | None = Field(None, description="gRPC.")


class Rule(ComponentConfig):
    key: str = Field(min_length=1, description="What to set.")
    value: Any = Field(None, description="Any value.")
    action: Literal["insert", "update", "delete"] = Field("insert", description="How.")


class Config(ComponentConfig):
    protocols: Protocols = Field(Protocols(), description="Protocols.")
    name: str | None = Field(None, description="A text.")
    count: int = Field(1, ge=1, le=10, description="A number.")
    ratio: float = Field(0.5, ge=0, le=1, description="A share.")
    enabled: bool = Field(True, description="A switch.")
    timeout: Duration = Field("5s", ge=0, description="A time.")
    colour: Colour = Field(Colour.RED, description="A colour.")
    topics: list[str] = Field([], description="Several texts.")
    ports: list[int] = Field([], description="Several numbers.")
    rules: list[Rule] = Field([], description="Several maps.")
    headers: Headers = Field({}, description="What to send along.")
    api_key: Secret | None = Field(None, description="A secret.")
    labels: dict[str, str] = Field({}, description="A map of texts.")
    either: str | int | None = Field(None, description="A text or a number.")
    endpoints: str | list[str] = Field("a", description="A text or several.")
    old: int = Field(0, deprecated="use count", description="The old name of count.")

    def check(self) -> Iterator[Problem]:
        if self.count > 5 and self.ratio > 0.5:
            yield Problem("ratio", f"is {self.ratio:g} with a count over 5", fix="use 0.5")
        if self.api_key and len(self.api_key.get_secret_value()) < 6:
            secret = self.api_key.get_secret_value()
            yield Problem("api_key", f"{secret} is too short", fix=f"use {secret}{secret}")
        if self.name == "bug":
            raise KeyError("a bug")


class Receiver:
    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.TRACES, Signal.LOGS})
