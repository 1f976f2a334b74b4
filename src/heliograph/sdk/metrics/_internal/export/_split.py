"""Cut a collection into several exports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

Place = tuple[Any, Any, Any]
"""Resource, scope and metric of points, each as it was collected."""


def split(data: Any, most: int) -> Iterator[Any]:
    """Yield ``MetricsData`` of at most so many points each, in order; none is left out.

    Resource, scope and metric are repeated where the cut goes through them.
    """
    part: list[tuple[Place, list[Any]]] = []
    room = most
    for place, points in _places(data):
        rest = points
        while rest:
            taken, rest = rest[:room], rest[room:]
            part.append((place, taken))
            room -= len(taken)
            if room == 0:
                yield _joined(data, part)
                part, room = [], most
    if part:
        yield _joined(data, part)


def _places(data: Any) -> Iterator[tuple[Place, list[Any]]]:
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield (resource, scope, metric), list(metric.data.data_points)


def _joined(data: Any, part: Sequence[tuple[Place, list[Any]]]) -> Any:
    resources: list[tuple[Any, list[tuple[Any, list[Any]]]]] = []
    for (resource, scope, metric), points in part:
        if not resources or resources[-1][0] is not resource:
            resources.append((resource, []))
        scopes = resources[-1][1]
        if not scopes or scopes[-1][0] is not scope:
            scopes.append((scope, []))
        scopes[-1][1].append(replace(metric, data=replace(metric.data, data_points=points)))
    return replace(
        data,
        resource_metrics=[
            replace(
                resource, scope_metrics=[replace(scope, metrics=found) for scope, found in scopes]
            )
            for resource, scopes in resources
        ],
    )
