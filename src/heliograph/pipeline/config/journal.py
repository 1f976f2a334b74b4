"""``service.journal``: where batches wait whose exporter names no storage of its own."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from heliograph.pipeline.fields import Field, parse_duration


def _fsync(value: object) -> float | None:
    if value == "each":
        return 0.0
    if value == "never":
        return None
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError("is no time such as 200ms, and neither each nor never") from None


Fsync = Annotated[float | None, BeforeValidator(_fsync, json_schema_input_type=str)]
"""Seconds between two fsyncs: 0 before each answer (``each``), None for no fsync (``never``)."""


class JournalConfig(BaseModel):
    """The journal of this process."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    enabled: bool = Field(
        True, description="Keep on disk what exporters cannot deliver at once; else senders wait."
    )
    directory: Path | None = Field(
        None, description="Where; below the state directory when not given."
    )
    max_size_mib: int = Field(2048, ge=16, description="Largest size on disk.", unit="MiB")
    fsync: Fsync = Field(
        "200ms",
        description="each: an acknowledgement survives a power loss; a time: it does after so "
        "long; never: when the system likes. All survive a crash of the process.",
    )
    when_full: Literal["refuse", "drop_oldest"] = Field(
        "refuse", description="Senders keep their data, or the oldest is dropped and counted."
    )
