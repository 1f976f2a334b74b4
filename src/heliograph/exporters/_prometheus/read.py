"""A batch of metrics as the lists that the state works on.

What every batch needs is read at once; what only new series need is decoded when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate, repeat
from typing import Any, NamedTuple

import polars as pl

from heliograph.exporters._prometheus.labels import Labels
from heliograph.exporters._prometheus.points import Exponential, Histogram, Side, Summary
from heliograph.otlp import Batch

NONE, GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY = range(6)
"""``metric.type``."""
UNSPECIFIED, DELTA, CUMULATIVE = range(3)
"""``metric.aggregation_temporality``."""

NO_RECORDED_VALUE = 1
"""Bit of a data point's flags."""

_NUMBERS = ("value_double", "value_int")
_SPREAD = ("count", "sum")
_PATHS: dict[int, tuple[str, ...]] = {
    GAUGE: _NUMBERS,
    SUM: _NUMBERS,
    HISTOGRAM: (*_SPREAD, "explicit_bounds", "bucket_counts"),
    EXPONENTIAL: (
        *_SPREAD,
        "scale",
        "zero_count",
        "zero_threshold",
        "positive.offset",
        "positive.bucket_counts",
        "negative.offset",
        "negative.bucket_counts",
    ),
    SUMMARY: (*_SPREAD, "quantile_values.quantile", "quantile_values.value"),
}
_ALWAYS = ("attributes:raw", "time_unix_nano", "start_time_unix_nano", "flags")


class Metric(NamedTuple):
    """One metric of the batch: what tells it from every other one, and which rows are its points.

    ``key`` is the wire bytes of resource, scope and metric, type, temporality, is_monotonic.
    """

    key: tuple[bytes, bytes, bytes, int, int, bool]
    row: int
    resource_row: int
    scope_row: int
    first: int
    end: int

    @property
    def resource(self) -> bytes:
        """Identity of the resource."""
        return self.key[0]

    @property
    def scope(self) -> bytes:
        """Identity of the scope."""
        return self.key[1]

    @property
    def type(self) -> int:
        """``metric.type``."""
        return self.key[3]

    @property
    def temporality(self) -> int:
        """``metric.aggregation_temporality``."""
        return self.key[4]

    @property
    def monotonic(self) -> bool:
        """``metric.is_monotonic``."""
        return self.key[5]

    @property
    def problem(self) -> str:
        """Why such a metric has no place in Prometheus; empty when it has."""
        if self.type == NONE:
            return "no data"
        if self.type in (SUM, HISTOGRAM, EXPONENTIAL) and self.temporality == UNSPECIFIED:
            return "aggregation temporality is not specified"
        if self.type == SUM and self.temporality == DELTA and not self.monotonic:
            return "delta sums that are not monotonic have no cumulative form"
        return ""

    def exposed_as(self, hint: str) -> str:
        """Return Prometheus' type; ``hint`` is the metadata ``prometheus.type``."""
        match self.type:
            case 1 | 2 if not self.monotonic:
                return "untyped" if hint == "unknown" else "gauge"
            case 2:
                return "counter"
            case 5:
                return "summary"
            case _:
                return "histogram"


class About(NamedTuple):
    """What a metric says of itself."""

    name: str
    help: str
    unit: str
    hint: str


class Reader:
    """One batch, decoded as far as asked for."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.resources: list[bytes] = batch.frame("resource:raw", level="resource")[
            "resource:raw"
        ].to_list()
        self.scopes: list[bytes] = batch.frame("scope:raw", level="scope")["scope:raw"].to_list()
        table = batch.frame(
            "metric:raw",
            "type",
            "aggregation_temporality",
            "is_monotonic",
            level="metric",
        )
        types = set(table["type"].unique().to_list())
        wanted = dict.fromkeys(path for type in sorted(types) for path in _PATHS.get(type, ()))
        items = batch.frame(*_ALWAYS, *wanted)
        self._items = items
        self._types = types
        self.attributes: list[bytes] = items["attributes:raw"].to_list()
        self.times: list[int] = items["time_unix_nano"].to_list()
        self.starts: list[int] = items["start_time_unix_nano"].to_list()
        self.metrics = list(self._metrics(table))
        self.removed = self._removed()

    def points(self, metric: Metric) -> Iterable[Any]:
        """Return the metric's points in order; None is a number point without a number."""
        span = slice(metric.first, metric.end)
        match metric.type:
            case 1 | 2:
                return self._numbers[span]
            case 3:
                sizes, sums, counts = (
                    self._column(path)[span] for path in ("count", "sum", "bucket_counts")
                )
                return map(Histogram, sizes, sums, self._bounds[span], counts)
            case 4:
                return map(_exponential, *(self._column(p)[span] for p in _PATHS[EXPONENTIAL]))
            case _:
                return map(_summary, *(self._column(p)[span] for p in _PATHS[SUMMARY]))

    def exemplars(
        self, label: Callable[[str, str, Mapping[str, str]], Labels]
    ) -> Iterator[tuple[int, Labels, float, int]]:
        """Yield row, labels, value and time of the exemplars of sums and histograms."""
        if not self._types & {SUM, HISTOGRAM, EXPONENTIAL}:
            return
        paths = ("time_unix_nano", "value_double", "value_int", "trace_id", "span_id")
        table = self._batch.frame(*paths, "filtered_attributes:map", level="exemplar")
        for row in table.iter_rows(named=True):
            value = row["value_double"] if row["value_int"] is None else row["value_int"]
            if value is not None:
                labels = label(
                    row["trace_id"].hex(),
                    row["span_id"].hex(),
                    _mapping(row["filtered_attributes:map"]),
                )
                yield row["_item"], labels, float(value), row["time_unix_nano"]

    def describe_attributes(self, rows: Sequence[int]) -> list[dict[str, str]]:
        """Return the attributes of these points."""
        chosen = self._batch if len(rows) == self._batch.items else self._batch.take(rows)
        found = chosen.frame("attributes:map")["attributes:map"].to_list()
        return [_mapping(entries) for entries in found]

    def describe_metric(self, metric: Metric) -> About:
        """Return what the metric says of itself."""
        return self._abouts[metric.row]

    def describe_resource(self, metric: Metric) -> dict[str, str]:
        """Return the attributes of the metric's resource."""
        return self._resource_attributes[metric.resource_row]

    def describe_scope(self, metric: Metric) -> tuple[str, str, str, dict[str, str]]:
        """Return name, version, schema URL and attributes of the metric's scope."""
        return self._scope_fields[metric.scope_row]

    def _metrics(self, table: pl.DataFrame) -> Iterator[Metric]:
        runs = self._items["_metric"].rle().struct.unnest()
        sizes = dict(zip(runs["value"].to_list(), runs["len"].to_list(), strict=True))
        first = 0
        for row, (resource, scope, *identity) in enumerate(table.iter_rows()):
            end = first + sizes.get(row, 0)
            key = (self.resources[resource], self.scopes[scope], *identity)
            yield Metric(key, row, resource, scope, first, end)
            first = end

    def _removed(self) -> frozenset[int]:
        flags = self._items["flags"]
        if not flags.len() or not flags.max():
            return frozenset()
        return frozenset((flags & NO_RECORDED_VALUE != 0).arg_true().to_list())

    def _column(self, path: str) -> list[Any]:
        found = self._lists.get(path)
        if found is None:
            found = self._lists[path] = self._items[path].to_list()
        return found

    @cached_property
    def _lists(self) -> dict[str, list[Any]]:
        return {}

    @cached_property
    def _numbers(self) -> list[float | None]:
        doubles, ints = (self._items[path] for path in _NUMBERS)
        numbers: list[float | None] = doubles.to_list()
        wholes: list[int | None] = ints.to_list()
        pairs = zip(numbers, wholes, strict=True)
        return [number if whole is None else whole for number, whole in pairs]

    @cached_property
    def _bounds(self) -> list[tuple[float, ...]]:
        """Explicit bounds of each point. Points in a row have the same ones: decode them once."""
        column = self._items["explicit_bounds"]
        runs = column.rle_id().rle().struct.field("len").to_list()
        first = accumulate(runs, initial=0)
        found = column.gather(list(first)[:-1]).to_list()
        return [
            bounds
            for bounds, length in zip(map(interned, found), runs, strict=True)
            for bounds in repeat(bounds, length)
        ]

    @cached_property
    def _abouts(self) -> list[About]:
        paths = ("name", "description", "unit", "metadata:map")
        table = self._batch.frame(*paths, level="metric")
        return [
            About(name, help, unit, _mapping(metadata).get("prometheus.type", ""))
            for name, help, unit, metadata in table.select(paths).iter_rows()
        ]

    @cached_property
    def _resource_attributes(self) -> list[dict[str, str]]:
        table = self._batch.frame("attributes:map", level="resource")
        return [_mapping(found) for found in table["attributes:map"].to_list()]

    @cached_property
    def _scope_fields(self) -> list[tuple[str, str, str, dict[str, str]]]:
        paths = ("name", "version", "schema_url", "attributes:map")
        table = self._batch.frame(*paths, level="scope").select(paths)
        return [(n, v, url, _mapping(found)) for n, v, url, found in table.iter_rows()]


def interned(bounds: Sequence[float] | None) -> tuple[float, ...]:
    """Return the same object for the same bounds, to be compared by identity."""
    return _interned(tuple(bounds or ()))


@lru_cache(maxsize=4096)
def _interned(bounds: tuple[float, ...]) -> tuple[float, ...]:
    return bounds


def _mapping(entries: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    return {entry["key"]: entry["value"] or "" for entry in entries or ()}


def _exponential(*fields: Any) -> Exponential:
    """Take the values of `_PATHS`, in their order."""
    size, total, scale, zeros, threshold, positive, positives, negative, negatives = fields
    sides = Side(positive, positives), Side(negative, negatives)
    return Exponential(size, total, scale, zeros, threshold, *sides)


def _summary(
    count: int, total: float | None, quantiles: Sequence[float], values: Sequence[float]
) -> Summary:
    return Summary(count, total, sorted(zip(quantiles, values, strict=False)))
