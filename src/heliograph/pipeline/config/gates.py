"""Feature gates: what ``--feature-gates`` of the Collector turns on and off."""

from collections.abc import Iterable
from dataclasses import dataclass

from heliograph.errors import ConfigError, Place, Problem
from heliograph.pipeline.config.names import suggestion


@dataclass(frozen=True)
class Gate:
    """A gate that has an effect here; a stable one is on for good."""

    id: str
    stage: str
    enabled: bool
    description: str


GATES = {
    gate.id: gate
    for gate in (
        Gate(
            "confmap.enableMergeAppendOption",
            "alpha",
            False,
            "With several --config, service.extensions and the receivers and exporters of "
            "pipelines are appended to, not replaced.",
        ),
        Gate(
            "service.profilesSupport",
            "stable",
            True,
            "Pipelines may carry profiles.",
        ),
    )
}
_PLACE = Place("--feature-gates")


def parse(arguments: Iterable[str]) -> tuple[frozenset[str], list[Problem]]:
    """Return the gates that are on after ``a,-b,+c`` arguments, and warnings.

    Raises: ConfigError when a gate that is on for good is turned off.
    """
    on = {gate.id for gate in GATES.values() if gate.enabled}
    warnings = []
    for item in (part.strip() for text in arguments for part in text.split(",")):
        id = item.lstrip("+-")
        gate = GATES.get(id)
        if gate is None:
            fix = suggestion(id, GATES)
            warnings.append(Problem("", f"'{id}' is no gate here; it is ignored", fix, _PLACE))
        elif gate.stage == "stable":
            what = f"'{id}' is on for good"
            if item.startswith("-"):
                raise ConfigError([Problem("", what, "remove it", _PLACE)])
            warnings.append(Problem("", what, "remove it", _PLACE))
        elif item.startswith("-"):
            on.discard(id)
        else:
            on.add(id)
    return frozenset(on), warnings
