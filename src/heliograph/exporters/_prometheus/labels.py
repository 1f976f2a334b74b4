"""Labels: which ones a series gets, and their order."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from heliograph.exporters._prometheus.naming import (
    Escaping,
    Namer,
    escape_label,
    plain_label,
)

Labels = tuple[tuple[str, str], ...]
"""(name, value), ordered by name, no name twice, no empty value: that is no label at all."""

Entry = tuple[str, str, str]
"""(original key, label name, value) before names that fall together are merged."""

SCOPE = ("otel_scope_name", "otel_scope_version", "otel_scope_schema_url")
SERVICE = ("service.name", "service.namespace", "service.instance.id")
KNOWN_KEYS = 10_000
"""So many keys' label names are remembered."""
EXEMPLAR_LENGTH = 128
"""Characters of all names and values of an exemplar's labels (OpenMetrics 1.0)."""


def merge(entries: Iterable[Entry], constant: Labels = ()) -> Labels:
    """Join the values of one name with ``;``, by their original keys; ``constant`` wins."""
    kept = [entry for entry in entries if entry[1] and entry[2]]
    found = {name: value for _, name, value in kept}
    if len(found) < len(kept):
        found.clear()
        for _, name, value in sorted(kept):
            found[name] = f"{found[name]};{value}" if name in found else value
    found.update(constant)
    return tuple(sorted(found.items()))


@dataclass(frozen=True)
class Labeller:
    """Labels of one configuration."""

    namer: Namer = field(default_factory=Namer)
    constant: Labels = ()
    scope_info: bool = True
    wanted: Callable[[str], bool] = lambda key: False
    """Which resource attributes every series gets as labels."""
    _names: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def target(self, resource: Mapping[str, str]) -> Labels:
        """Return ``job`` and ``instance``."""
        return merge(self._target(resource))

    def target_info(self, resource: Mapping[str, str]) -> Labels:
        """Return the labels of ``target_info``; none when the resource has no job or instance."""
        target = self.target(resource)
        rest = self._attributes(resource, lambda key: key not in SERVICE)
        return merge(rest, target) if target else ()

    def resource(self, resource: Mapping[str, str]) -> list[Entry]:
        """Return what the resource gives to each of its series."""
        return [*self._attributes(resource, self.wanted), *self._target(resource)]

    def scope(
        self, name: str, version: str, schema_url: str, attributes: Mapping[str, str]
    ) -> list[Entry]:
        """Return what the scope gives to each of its series."""
        if not self.scope_info:
            return []
        own = zip(SCOPE, SCOPE, (name, version, schema_url), strict=True)
        prefixed = {f"otel_scope_{key}": value for key, value in attributes.items()}
        rest = self._attributes(prefixed, lambda key: self._label(key) not in SCOPE)
        return [*own, *rest]

    def series(
        self, attributes: Mapping[str, str], inherited: Iterable[Entry], reserved: str = ""
    ) -> Labels:
        """Return a series' labels.

        Args:
            inherited: what `resource` and `scope` return; over an attribute of the same key the
                resource's wins.
            reserved: the label that the type needs for itself (``le``, ``quantile``); an attribute
                of that name becomes ``exported_…``.
        """
        entries = {entry[:2]: entry for entry in self._attributes(attributes)}
        entries |= {entry[:2]: entry for entry in inherited}
        labels = merge(entries.values(), self.constant)
        if reserved and any(name == reserved for name, _ in labels):
            moved = ((f"exported_{n}" if n == reserved else n, value) for n, value in labels)
            return tuple(sorted(moved))
        return labels

    def exemplar(self, trace_id: str, span_id: str, attributes: Mapping[str, str]) -> Labels:
        """Return an exemplar's labels: the ids, and the attributes that still fit."""
        ids = {"trace_id": trace_id, "span_id": span_id}
        found = {name: value for name, value in ids.items() if value}
        room = EXEMPLAR_LENGTH - sum(len(name) + len(value) for name, value in found.items())
        for name, value in merge(self._attributes(attributes)):
            if name not in found and len(name) + len(value) <= room:
                found[name] = value
                room -= len(name) + len(value)
        return tuple(sorted(found.items()))

    def _target(self, resource: Mapping[str, str]) -> list[Entry]:
        name, namespace, instance = (resource.get(key, "") for key in SERVICE)
        job = f"{namespace}/{name}" if namespace and name else name
        return [("service.name", "job", job), ("service.instance.id", "instance", instance)]

    def _attributes(
        self, attributes: Mapping[str, str], wanted: Callable[[str], bool] = lambda key: True
    ) -> list[Entry]:
        return [(key, self._label(key), value) for key, value in attributes.items() if wanted(key)]

    def _label(self, key: str) -> str:
        found = self._names.get(key)
        if found is None:
            found = self.namer.label(key)
            if len(self._names) < KNOWN_KEYS:
                self._names[key] = found
        return found


def escape_labels(labels: Labels, escaping: Escaping) -> Labels:
    """Return the labels as a scrape with this escaping names them; merged like attributes."""
    if escaping is Escaping.NONE or all(plain_label(name) for name, _ in labels):
        return labels
    return merge((name, escape_label(name, escaping), value) for name, value in labels)
