"""The protobuf exposition: length-delimited ``io.prometheus.client.MetricFamily`` messages.

The only format with native histograms (exponential ones become these) and with start times. Fields
are written as prometheus/client_model's metrics.proto has them; ours are few, so by hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import accumulate
from struct import Struct

from heliograph.exporters._prometheus.labels import Labels, escape_labels
from heliograph.exporters._prometheus.naming import Escaping
from heliograph.exporters._prometheus.negotiate import Style
from heliograph.exporters._prometheus.points import (
    DEFAULT_ZERO_THRESHOLD,
    MAX_SCHEMA,
    Exponential,
    Histogram,
    Summary,
    bucket_of,
    rescale,
    spans,
)
from heliograph.exporters._prometheus.series import Exemplar, Series
from heliograph.exporters._prometheus.view import View

TYPES = {"counter": 0, "gauge": 1, "summary": 2, "untyped": 3, "histogram": 4, "info": 1}
"""MetricType; there is none for info."""
NATIVE_EXEMPLARS = 10
"""At most so many exemplars, the latest, with a native histogram."""

_VARINT, _FIXED64, _BYTES = 0, 1, 2
_VALUE_FIELD = {"gauge": 2, "counter": 3, "untyped": 5, "info": 2}
_SMALL = [bytes([value]) for value in range(0x80)]
_double = Struct("<d").pack


def write(views: Iterable[View], style: Style, *, timestamps: bool = False) -> Iterator[bytes]:
    """Yield one delimited family after the other."""
    for view in views:
        body = [_text(1, view.name), _text(2, view.help), _number(3, TYPES[view.type])]
        for several in view.slices():
            for series in several:
                metric = _metric(view, series, style.escaping)
                if metric:
                    stamp = _number(6, series.time // 10**6) if timestamps else b""
                    body.append(_message(4, metric + stamp))
        if view.unit:
            body.append(_text(5, view.unit))
        family = b"".join(body)
        yield _varint(len(family)) + family


def _metric(view: View, series: Series, escaping: Escaping) -> bytes:
    """Return the fields of a Metric; empty when there is nothing to show."""
    key = f"protobuf {escaping}"
    labels = series.cache.get(key)
    if not isinstance(labels, bytes):
        labels = series.cache[key] = _labels(escape_labels(series.labels, escaping))
    match series.point:
        case None:
            return b""
        case Histogram() as point:
            return labels + _message(
                7, _classic(point, series, escaping) + _message(15, _time(series.start))
            )
        case Exponential(sum=None):
            return b""
        case Exponential() as point:
            return labels + _message(
                7, _native(point, series, escaping) + _message(15, _time(series.start))
            )
        case Summary() as point:
            return labels + _message(4, _summary(point) + _message(4, _time(series.start)))
        case point:
            value = _float(1, point)
            if view.type == "counter":
                exemplar = series.exemplars.get(0)
                value += _exemplar(2, exemplar, escaping) + _message(3, _time(series.start))
            return labels + _message(_VALUE_FIELD[view.type], value)


def _classic(point: Histogram, series: Series, escaping: Escaping) -> bytes:
    exemplars = {bucket_of(e.value, point.bounds): e for e in _by_time(series)}
    parts = [_number(1, point.size)]
    if point.sum is not None:
        parts.append(_float(2, point.sum))
    counts = [*accumulate(point.counts[:-1]), point.size]
    for at, (bound, count) in enumerate(zip((*point.bounds, math.inf), counts, strict=True)):
        if at == len(point.bounds) or math.isfinite(bound):
            exemplar = _exemplar(3, exemplars.get(at), escaping)
            parts.append(_message(3, _number(1, count) + _float(2, bound) + exemplar))
    return b"".join(parts)


def _native(point: Exponential, series: Series, escaping: Escaping) -> bytes:
    """Prometheus refuses a count that is not the buckets' total, so that is what it gets."""
    point = rescale(point, min(point.scale, MAX_SCHEMA))
    total = point.zero_count + sum(point.positive.counts) + sum(point.negative.counts)
    parts = [
        _number(1, total),
        _float(2, point.sum or 0.0),
        _number(5, _zigzag(point.scale)),
        _float(6, point.zero_threshold or DEFAULT_ZERO_THRESHOLD),
        _number(7, point.zero_count),
    ]
    for first, side in ((9, point.negative), (12, point.positive)):
        found, deltas = spans(side)
        for offset, length in found:
            parts.append(_message(first, _number(1, _zigzag(offset)) + _number(2, length)))
        parts += [_number(first + 1, _zigzag(delta)) for delta in deltas]
    latest = [exemplar for exemplar in _by_time(series) if exemplar.time][-NATIVE_EXEMPLARS:]
    parts += [_exemplar(16, exemplar, escaping) for exemplar in latest]
    return b"".join(parts)


def _summary(point: Summary) -> bytes:
    parts = [_number(1, point.size)]
    if point.sum is not None:
        parts.append(_float(2, point.sum))
    parts += [_message(3, _float(1, at) + _float(2, value)) for at, value in point.quantiles]
    return b"".join(parts)


def _by_time(series: Series) -> list[Exemplar]:
    return sorted(series.exemplars.values(), key=lambda exemplar: exemplar.time)


def _exemplar(number: int, exemplar: Exemplar | None, escaping: Escaping) -> bytes:
    if exemplar is None:
        return b""
    labels = _labels(escape_labels(exemplar.labels, escaping))
    return _message(number, labels + _float(2, exemplar.value) + _message(3, _time(exemplar.time)))


def _labels(labels: Labels) -> bytes:
    return b"".join(_message(1, _text(1, name) + _text(2, value)) for name, value in labels)


def _time(nanoseconds: int) -> bytes:
    if not nanoseconds:
        return b""
    return _number(1, nanoseconds // 10**9) + _number(2, nanoseconds % 10**9)


def _varint(value: int) -> bytes:
    if value < len(_SMALL):
        return _SMALL[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else ~(value << 1)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | _FIXED64) + _double(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode()) if value else b""


def _message(field: int, value: bytes) -> bytes:
    """Write a field of bytes; an empty one is left out."""
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value if value else b""
