"""Exemplars: single measurements kept beside their aggregate."""

from heliograph.sdk.metrics._internal.exemplar.exemplar import Exemplar
from heliograph.sdk.metrics._internal.exemplar.exemplar_filter import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    ExemplarFilter,
    TraceBasedExemplarFilter,
)

__all__ = [
    "AlwaysOffExemplarFilter",
    "AlwaysOnExemplarFilter",
    "Exemplar",
    "ExemplarFilter",
    "TraceBasedExemplarFilter",
]
