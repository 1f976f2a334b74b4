"""Which distribution or configurator the official launcher gets, with ours among them. Pure."""

from collections.abc import Sequence

DISTRO = "opentelemetry_distro"
CONFIGURATOR = "opentelemetry_configurator"
NAME = "heliograph"


def winner(installed: Sequence[str], named: str | None) -> str | None:
    """Return the name of the one that is used; None for the launcher's own default.

    Args:
        installed: the names of a group's entry points, as they are found.
        named: the group's variable.
    """
    if named:
        return named if named in installed else None
    others = [name for name in installed if name != NAME]
    return others[0] if others else NAME if installed else None
