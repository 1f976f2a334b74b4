"""Everything Heliograph raises.

::

    HeliographError
    ├── ConfigError          the configuration is wrong; carries every Problem
    ├── WireError            bytes from outside are malformed; ``offset`` says where
    └── DeliveryError
        ├── Retry            nothing was kept; send the same batch again
        └── Reject           never send these bytes again
            └── TooLarge     send less at a time
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from heliograph._core import HeliographError as HeliographError
from heliograph._core import WireError as WireError


@dataclass(frozen=True)
class Place:
    """Where in the user's configuration something stands; lines and columns count from 1."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.source, self.line, self.column) if part)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the path of the option, what is wrong, and the fix.

    A component names paths relative to its own configuration; the loader puts its id in front
    and finds the place.
    """

    path: str
    message: str
    fix: str | None = None
    place: Place | None = None

    def under(self, prefix: str) -> "Problem":
        """Return the same problem with ``prefix`` in front of its path."""
        return replace(self, path=f"{prefix}.{self.path}" if self.path else prefix)

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        path = f"{self.path}: " if self.path else ""
        fix = f"\n    fix: {self.fix}" if self.fix else ""
        return f"{where}{path}{self.message}{fix}"


class ConfigError(HeliographError):
    """The configuration is wrong; ``problems`` has all of it, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DeliveryError(HeliographError):
    """A batch was not delivered."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(DeliveryError):
    """Nothing was kept; send the same batch again, ``after`` seconds from now when given."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Reject(DeliveryError):
    """These bytes will never be taken.

    ``code`` is the gRPC status code (1..16) that tells the sender why, when somebody downstream
    named one; receivers map it to their protocol.
    """

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code


class TooLarge(Reject):
    """The other side takes such data, but not so much of it in one request."""
