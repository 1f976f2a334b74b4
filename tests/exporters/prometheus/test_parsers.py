"""Pages read by a parser that is not ours: what it finds is what was sent."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from rig import OPENMETRICS, TEXT

from heliograph.exporters._prometheus import text
from heliograph.exporters._prometheus.labels import Labeller
from heliograph.exporters._prometheus.naming import Namer, Strategy
from heliograph.exporters._prometheus.negotiate import Format, negotiate
from heliograph.exporters._prometheus.read import Reader
from heliograph.exporters._prometheus.state import Store
from heliograph.exporters._prometheus.view import views
from heliograph.otlp import Batch, Signal

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.one_of(st.floats(), st.integers(-(2**63), 2**63 - 1))
counts = st.integers(0, 1000)
TIME = 1_700_000_000_000_000_000


def read(
    metrics: list[dict[str, Any]], accept: str, strategy: Strategy = Strategy.ESCAPE_AND_SUFFIX
) -> list[Metric]:
    request = {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}
    store = Store(Labeller(Namer(strategy=strategy)), 300.0)
    batch = Batch.from_json(json.dumps(request).encode(), Signal.METRICS)
    outcome = store.consume(Reader(batch), 0.0)
    assert not outcome.unusable
    style = negotiate(accept)
    shown = views(store.families(), "target_info", store.targets(), style)
    page = b"".join(text.write(shown, style)).decode()
    parse = text_string_to_metric_families
    if style.format is Format.OPENMETRICS:
        parse = openmetrics.text_string_to_metric_families
    return list(parse(page))


def attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def number(value: float) -> dict[str, Any]:
    if isinstance(value, int):
        return {"asInt": str(value)}
    if math.isfinite(value):
        return {"asDouble": value}
    return {"asDouble": {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[str(value)]}


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


@given(
    st.dictionaries(words.filter(bool), numbers, min_size=1), st.sampled_from([TEXT, OPENMETRICS])
)
def test_values_and_label_values(points: dict[str, float], accept: str) -> None:
    rows = [
        {"timeUnixNano": TIME, "attributes": [attribute("k", label)], **number(value)}
        for label, value in points.items()
    ]
    (family,) = read([{"name": "m", "gauge": {"dataPoints": rows}}], accept)
    assert (family.name, family.type) == ("m", "gauge")
    found = {sample.labels["k"]: float(sample.value) for sample in family.samples}
    assert found.keys() == points.keys()
    assert all(same(found[label], float(value)) for label, value in points.items())


keys = words.filter(lambda key: key.strip("_") and not key.startswith("__"))
"""What the parser takes for labels: names that begin with two underscores are Prometheus' own."""


@given(words.filter(bool), st.dictionaries(keys, words))
def test_untranslated_names(name: str, labels: dict[str, str]) -> None:
    row = {
        "timeUnixNano": TIME,
        "asInt": "1",
        "attributes": [attribute(*x) for x in labels.items()],
    }
    metric = {"name": name, "gauge": {"dataPoints": [row]}}
    accept = f"{TEXT};escaping=allow-utf-8"
    (family,) = read([metric], accept, Strategy.NONE)
    (sample,) = family.samples
    assert sample.name == name
    assert sample.labels == {key: value for key, value in labels.items() if value}


@given(words.filter(bool), st.dictionaries(words, words, max_size=4))
def test_translated_names_need_no_quotes(name: str, labels: dict[str, str]) -> None:
    row = {
        "timeUnixNano": TIME,
        "asInt": "1",
        "attributes": [attribute(*x) for x in labels.items()],
    }
    metric = {"name": f"m{name}", "gauge": {"dataPoints": [row]}}
    (family,) = read([metric], OPENMETRICS)
    assert family.name.isascii()
    for key in family.samples[0].labels:
        assert key.isascii()
        assert key.isidentifier()


@given(
    st.lists(st.floats(0, 1e9, exclude_min=True), unique=True, max_size=12).map(sorted),
    st.data(),
    st.sampled_from([TEXT, OPENMETRICS]),
)
def test_histograms(bounds: list[float], data: st.DataObject, accept: str) -> None:
    size = len(bounds) + 1
    buckets = data.draw(st.lists(counts, min_size=size, max_size=size))
    row = {
        "timeUnixNano": TIME,
        "count": str(sum(buckets)),
        "sum": 12.5,
        "explicitBounds": bounds,
        "bucketCounts": [str(count) for count in buckets],
    }
    (family,) = read(
        [{"name": "m", "histogram": {"aggregationTemporality": 2, "dataPoints": [row]}}], accept
    )
    found = buckets_of(family)
    assert found == dict(zip([*bounds, math.inf], accumulate(buckets), strict=True))
    assert {s.name: s.value for s in family.samples if "le" not in s.labels} == {
        "m_sum": 12.5,
        "m_count": sum(buckets),
    }


@given(st.integers(-4, 12), st.integers(-50, 50), st.lists(counts, min_size=1, max_size=60))
def test_exponential_histograms_as_classic_ones(
    scale: int, offset: int, buckets: list[int]
) -> None:
    row = {
        "timeUnixNano": TIME,
        "count": str(sum(buckets) + 5),
        "sum": 12.5,
        "scale": scale,
        "zeroCount": "5",
        "positive": {"offset": offset, "bucketCounts": [str(count) for count in buckets]},
    }
    (family,) = read(
        [{"name": "m", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [row]}}],
        OPENMETRICS,
    )
    base = 2.0 ** (2.0**-scale)
    for bound, cumulated in buckets_of(family).items():
        below = (
            count
            for index, count in enumerate(buckets, offset + 1)
            if base**index <= bound * (1 + 1e-9)
        )
        assert cumulated == 5 + sum(below)


def buckets_of(family: Metric) -> dict[float, float]:
    samples: Iterable[Any] = family.samples
    return {float(s.labels["le"]): s.value for s in samples if s.name.endswith("_bucket")}


@given(st.dictionaries(st.floats(0, 1), st.floats(allow_nan=False), max_size=5))
def test_summaries(quantiles: dict[float, float]) -> None:
    row = {
        "timeUnixNano": TIME,
        "count": "3",
        "sum": 1.5,
        "quantileValues": [
            {"quantile": at, **{"value": number(value)["asDouble"]}}
            for at, value in quantiles.items()
        ],
    }
    (family,) = read([{"name": "m", "summary": {"dataPoints": [row]}}], TEXT)
    found = {float(s.labels["quantile"]): s.value for s in family.samples if s.name == "m"}
    assert found == quantiles
