"""What is exposed now: families of series, each with its latest cumulative point.

Pure: time comes in as an argument (seconds, any fixed start). A series is found by the wire bytes
of its resource, scope, metric and attributes, so that a known one costs a dictionary look-up and
nothing of it is decoded again; series whose bytes differ but whose labels are the same are one.
"""

from __future__ import annotations

from heliograph.exporters._prometheus.labels import Entry, Labeller, Labels
from heliograph.exporters._prometheus.naming import plain_label
from heliograph.exporters._prometheus.read import DELTA, GAUGE, SUM, SUMMARY, About, Metric, Reader
from heliograph.exporters._prometheus.series import (
    Exemplar,
    Outcome,
    Series,
    keep_exemplar,
    update,
)

_TAKES = {"histogram": ("", "_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
"""What the samples of a type append to the family's name."""
_RESERVED = {"histogram": "le", "summary": "quantile"}
_SAID = 10_000
"""So many different remarks are remembered, so as to make each once."""


class Family:
    """All series of one name; ``plain`` when no label's name needs quotes."""

    __slots__ = ("help", "name", "ordered", "plain", "series", "type", "unit")

    def __init__(self, name: str, type: str, help: str, unit: str) -> None:
        self.name, self.type, self.help, self.unit = name, type, help, unit
        self.series: dict[Labels, Series] = {}
        self.ordered: list[Series] = []
        self.plain = True

    @property
    def names(self) -> list[str]:
        """Names that the family's samples have."""
        return [self.name + suffix for suffix in _TAKES.get(self.type, ("",))]

    def inventory(self) -> list[Series]:
        """Return the series in order of their labels; a list that nobody changes."""
        if len(self.ordered) != len(self.series):
            self.ordered = [self.series[labels] for labels in sorted(self.series)]
            names = {name for labels in self.series for name, _ in labels}
            self.plain = all(map(plain_label, names))
        return self.ordered


class Parent:
    """A resource or a scope: what it gives to its series, and its ``target_info``."""

    __slots__ = ("entries", "info", "seen", "target")

    def __init__(self, entries: list[Entry], target: Labels = (), info: Labels = ()) -> None:
        self.entries, self.target, self.info = entries, target, info
        self.seen = float("-inf")


class Stream:
    """A metric of one resource and scope; ``problem`` says why its points cannot be used."""

    __slots__ = ("add", "delta", "family", "inherited", "problem", "series")

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.family = Family("", "", "", "")
        self.inherited: list[Entry] = []
        self.series: dict[bytes, Series] = {}
        self.delta = False


class Store:
    """All families. ``consume`` takes points, ``sweep`` forgets, ``families`` shows."""

    def __init__(self, labeller: Labeller, expiration: float, info: str = "target_info") -> None:
        """Take the name under which targets are shown; they are not when it is empty."""
        self._labeller = labeller
        self._info = info
        self._expiration = expiration
        self._families: dict[str, Family] = {}
        self._taken_names = {info: info} if info else {}
        self._streams: dict[tuple[object, ...], Stream] = {}
        self._resources: dict[bytes, Parent] = {}
        self._scopes: dict[bytes, Parent] = {}
        self._swept = float("-inf")
        self._said: set[tuple[str, str]] = set()

    def families(self) -> list[Family]:
        """Return all families in order of their names."""
        return [self._families[name] for name in sorted(self._families)]

    def targets(self) -> list[Labels]:
        """Return the labels of ``target_info``, one for each job and instance, the latest one's."""
        if not self._info:
            return []
        latest = sorted(self._resources.values(), key=lambda parent: parent.seen)
        return sorted({parent.target: parent.info for parent in latest if parent.info}.values())

    def sweep(self, now: float) -> None:
        """Forget what got no point for longer than the expiration."""
        self._swept = now
        horizon = now - self._expiration
        for key, stream in list(self._streams.items()):
            stream.series = {raw: s for raw, s in stream.series.items() if s.seen >= horizon}
            if not stream.series:
                del self._streams[key]
        for family in list(self._families.values()):
            live = {labels: s for labels, s in family.series.items() if s.seen >= horizon}
            if len(live) != len(family.series):
                family.series, family.ordered = live, []
            if not live:
                self._release(family)
        for parents in (self._resources, self._scopes):
            for raw in [raw for raw, parent in parents.items() if parent.seen < horizon]:
                del parents[raw]

    def consume(self, reader: Reader, now: float) -> Outcome:
        """Take a batch's points; what cannot be taken is in the outcome."""
        if now - self._swept > self._expiration:
            self.sweep(now)
        outcome = Outcome()
        rows, work = self._find(reader, outcome)
        for raws, parents in ((reader.resources, self._resources), (reader.scopes, self._scopes)):
            for parent in filter(None, map(parents.get, raws)):
                parent.seen = now
        for metric, stream in work:
            series = rows[metric.first : metric.end]
            if reader.removed:
                self._remove(reader, metric, series, now)
            span = slice(metric.first, metric.end)
            problems = update(
                series,
                reader.times[span],
                reader.starts[span],
                reader.points(metric),
                outcome,
                now=now,
                delta=stream.delta,
                plain=metric.type in (GAUGE, SUM),
            )
            for problem in problems:
                text = f"{stream.family.name!r} has points that cannot be shown: {problem}"
                self._remark(outcome, stream.family.name, problem, text)
        for row, labels, value, time in reader.exemplars(self._labeller.exemplar):
            if (owner := rows[row]) is not None:
                keep_exemplar(owner, Exemplar(labels, value, time))
        return outcome

    def _find(
        self, reader: Reader, outcome: Outcome
    ) -> tuple[list[Series | None], list[tuple[Metric, Stream]]]:
        """Return each row's series, None where there is none, and the metrics that have some."""
        rows: list[Series | None] = []
        work: list[tuple[Metric, Stream]] = []
        for metric in reader.metrics:
            stream = self._streams.get(metric.key)
            if stream is None:
                stream = self._streams[metric.key] = self._open(reader, metric, outcome)
            if stream.problem:
                rows += [None] * (metric.end - metric.first)
                outcome.drop(stream.problem, metric.end - metric.first)
            else:
                rows += map(stream.series.get, reader.attributes[metric.first : metric.end])
                work.append((metric, stream))
        if None in rows:
            self._name(reader, rows, work)
        return rows, work

    def _name(
        self, reader: Reader, rows: list[Series | None], work: list[tuple[Metric, Stream]]
    ) -> None:
        """Find or make the series of rows whose bytes are new."""
        owners = [
            (row, metric, stream)
            for metric, stream in work
            for row in range(metric.first, metric.end)
            if rows[row] is None
        ]
        if not owners:
            return
        described = reader.describe_attributes([row for row, _, _ in owners])
        for (row, _, stream), attributes in zip(owners, described, strict=True):
            family = stream.family
            reserved = _RESERVED.get(family.type, "")
            labels = self._labeller.series(attributes, stream.inherited, reserved)
            series = family.series.get(labels)
            if series is None:
                series = family.series[labels] = Series(labels)
            rows[row] = stream.series[reader.attributes[row]] = series

    def _remove(
        self, reader: Reader, metric: Metric, rows: list[Series | None], now: float
    ) -> None:
        """Hide the series of the metric's points without a recorded value."""
        for at, series in enumerate(rows):
            if metric.first + at in reader.removed and series is not None:
                rows[at] = None
                if reader.times[metric.first + at] >= series.time:
                    series.point, series.exemplars = None, {}
                    series.time, series.seen = reader.times[metric.first + at], now

    def _open(self, reader: Reader, metric: Metric, outcome: Outcome) -> Stream:
        """Begin a stream: its family and what it inherits."""
        about = reader.describe_metric(metric)
        type = metric.exposed_as(about.hint)
        problem = metric.problem
        stream = Stream()
        stream.delta = metric.temporality == DELTA and metric.type not in (GAUGE, SUMMARY)
        if problem:
            text = f"metric {about.name!r}: {problem}; its points are dropped"
            self._remark(outcome, about.name, problem, text)
        else:
            problem = self._join(stream, about, type, metric.type == GAUGE, outcome)
        stream.problem = problem
        resource = self._resources.get(metric.resource)
        if resource is None:
            attributes = reader.describe_resource(metric)
            resource = self._resources[metric.resource] = Parent(
                self._labeller.resource(attributes),
                self._labeller.target(attributes),
                self._labeller.target_info(attributes),
            )
        scope = self._scopes.get(metric.scope)
        if scope is None:
            entries = self._labeller.scope(*reader.describe_scope(metric))
            scope = self._scopes[metric.scope] = Parent(entries)
        stream.inherited = [*scope.entries, *resource.entries]
        return stream

    def _join(self, stream: Stream, about: About, type: str, gauge: bool, outcome: Outcome) -> str:
        """Give the stream its family; return the problem if it may not have it."""
        namer, metric = self._labeller.namer, f"metric {about.name!r}"
        try:
            name = namer.metric(about.name, about.unit, counter=type == "counter", gauge=gauge)
        except ValueError as error:
            self._remark(outcome, about.name, "name", f"{metric}: {error}; its points are dropped")
            return "nothing is left of its name"
        family = self._families.get(name)
        if family is None:
            family = Family(name, type, about.help, namer.unit(about.unit))
            owners = (self._taken_names.get(taken) for taken in family.names)
            if (other := next(filter(None, owners), None)) is not None:
                problem = "its name is taken"
                text = f"{metric}: the names of {name!r} clash with those of {other!r}"
                self._remark(outcome, name, problem, f"{text}; its points are dropped")
                return problem
            self._families[name] = family
            self._taken_names.update(dict.fromkeys(family.names, name))
        elif family.type != type:
            problem = "its type conflicts"
            text = f"{metric} is a {type}, but {name!r} is exposed as a {family.type}"
            self._remark(outcome, name, problem, f"{text}; its points are dropped")
            return problem
        elif family.help != about.help:
            text = f"{metric} has another description than {name!r} is exposed with"
            self._remark(outcome, name, "help", f"{text}; the first one stays")
        stream.family = family
        return ""

    def _release(self, family: Family) -> None:
        del self._families[family.name]
        for name in family.names:
            del self._taken_names[name]

    def _remark(self, outcome: Outcome, name: str, kind: str, text: str) -> None:
        if (name, kind) not in self._said and len(self._said) < _SAID:
            self._said.add((name, kind))
            outcome.remarks.append(text)
