"""What is held: which points are one series, what leaves when, what deltas add up to."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from heliograph.exporters._prometheus.labels import Labeller, merge
from heliograph.exporters._prometheus.read import Reader
from heliograph.exporters._prometheus.series import Outcome
from heliograph.exporters._prometheus.state import Store
from heliograph.otlp import Batch, Signal


def gauge(*points: dict[str, Any], name: str = "up") -> dict[str, Any]:
    return {"name": name, "gauge": {"dataPoints": list(points)}}


def delta(*points: dict[str, Any]) -> dict[str, Any]:
    summed = {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": list(points)}
    return {"name": "added", "sum": summed}


def point(value: int, time: int = 1, **attributes: Any) -> dict[str, Any]:
    listed = [{"key": key, "value": value} for key, value in attributes.items()]
    return {"timeUnixNano": str(time), "asInt": str(value), "attributes": listed}


class Held:
    """A store, and what its series are."""

    def __init__(self) -> None:
        self.store = Store(Labeller(), 300.0)

    def take(self, *metrics: dict[str, Any], now: float = 0.0) -> Outcome:
        request = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [*metrics]}]}]}
        batch = Batch.from_json(json.dumps(request).encode(), Signal.METRICS)
        return self.store.consume(Reader(batch), now)

    def points(self) -> dict[str, dict[tuple[tuple[str, str], ...], Any]]:
        return {
            family.name: {series.labels: series.point for series in family.inventory()}
            for family in self.store.families()
        }


def test_different_bytes_can_be_the_same_series() -> None:
    held = Held()
    a, b, one = {"stringValue": "x"}, {"stringValue": "y"}, {"stringValue": "1"}
    held.take(gauge(point(1, 10, a=a, b=b), point(2, 20, b=b, a=a)))
    held.take(gauge(point(3, 30, n=one), point(4, 40, n={"intValue": "1"})))
    held.take(gauge(point(5, 15, a=a, b=b), point(6, 35, n=one)))
    assert held.points() == {"up": {(("a", "x"), ("b", "y")): 2, (("n", "1"),): 4}}


def test_new_series_among_known_ones() -> None:
    held = Held()
    labelled = [point(n, 1, n={"intValue": str(n)}) for n in range(4)]
    held.take(gauge(labelled[1]))
    held.take(gauge(*labelled), gauge(point(9), name="other"))
    assert list(held.points()["up"].values()) == [0, 1, 2, 3]
    assert held.points()["other"] == {(): 9}


def test_what_blocked_a_name_can_expire() -> None:
    held = Held()
    summary = {"name": "up", "summary": {"dataPoints": [{"timeUnixNano": "1", "count": "1"}]}}
    held.take(gauge(point(1)))
    assert held.take(summary, now=200.0).unusable == {"its type conflicts": 1}
    held.store.sweep(300.0)
    assert held.points()["up"] == {(): 1}
    held.store.sweep(300.1)
    assert held.points() == {}
    assert held.take(summary, now=301.0).taken == 1


def test_memory_is_swept_without_a_scrape() -> None:
    held = Held()
    held.take(gauge(point(1), name="old"))
    held.take(gauge(point(1), name="new"), now=301.0)
    assert held.points().keys() == {"new"}


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 1000)), min_size=1))
def test_deltas_add_up_as_long_as_time_advances(sent: list[tuple[int, int]]) -> None:
    held = Held()
    total = latest = late = 0
    for time, value in sent:
        outcome = held.take(delta(point(value, time)))
        if time > latest:
            total, latest = total + value, time
        else:
            late += 1
            assert outcome.late == 1
    assert held.points() == {"added_total": {(): total}}


def test_labels_that_fall_together_are_joined_in_order_of_their_keys() -> None:
    entries = [("a_b", "a_b", "2"), ("a.b", "a_b", "1"), ("c", "c", ""), ("d", "", "x")]
    assert merge(entries) == (("a_b", "1;2"),)
    assert merge(entries, (("a_b", "constant"), ("z", "9"))) == (("a_b", "constant"), ("z", "9"))


def test_exemplars_keep_their_ids_and_what_fits() -> None:
    labeller = Labeller()
    labels = dict(labeller.exemplar("t" * 32, "s" * 16, {"a": "x" * 60, "b.c": "y" * 64, "d": ""}))
    assert labels == {"trace_id": "t" * 32, "span_id": "s" * 16, "a": "x" * 60}
    assert sum(len(key) + len(value) for key, value in labels.items()) <= 128
    assert dict(labeller.exemplar("", "", {"trace_id": "mine"})) == {"trace_id": "mine"}
