"""The batches worth a look among those that were traced: the slowest, and the last that failed."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Mapping
from typing import Any

KEPT = 20
"""So many of each."""


class Recent:
    """Keeps the first spans of traces."""

    def __init__(self) -> None:
        self._slowest: list[tuple[int, int, Mapping[str, Any]]] = []
        self._failed: deque[Mapping[str, Any]] = deque(maxlen=KEPT)
        self._order = itertools.count()
        self.seen = 0
        """Traces that have ended."""

    def add(self, span: Mapping[str, Any]) -> None:
        """Take a span; one that has a parent is passed over."""
        if span["parentSpanId"]:
            return
        self.seen += 1
        if "status" in span:
            self._failed.append(span)
        lasted = _lasted(span)
        heapq.heappush(self._slowest, (lasted, next(self._order), span))
        if len(self._slowest) > KEPT:
            heapq.heappop(self._slowest)

    def data(self) -> dict[str, Any]:
        """Return the slowest first, and of the failed the last one first."""
        return {
            "seen": self.seen,
            "slowest": [_row(span) for _, _, span in sorted(self._slowest, reverse=True)],
            "failed": [_row(span) for span in reversed(self._failed)],
        }


def _lasted(span: Mapping[str, Any]) -> int:
    return int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])


def _row(span: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": span["name"],
        "trace_id": span["traceId"],
        "time": int(span["startTimeUnixNano"]) / 1e9,
        "seconds": _lasted(span) / 1e9,
        "items": next(
            int(entry["value"]["intValue"])
            for entry in span["attributes"]
            if entry["key"] == "items"
        ),
        "error": span["status"]["message"] if "status" in span else None,
    }
