"""``${env:X}``, ``${env:X:-default}``, ``${file:…}``, ``${yaml:…}``, ``${https:…}``, ``$$``."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from heliograph.errors import ConfigError, Problem
from heliograph.pipeline.config import sources
from heliograph.pipeline.config.names import suggestion
from heliograph.pipeline.config.places import looks_secret, steps
from heliograph.pipeline.config.sources import SourceError
from heliograph.pipeline.config.yaml_source import (
    MAX_NODES,
    Entry,
    Mapping,
    Node,
    Scalar,
    Sequence,
    moved,
    read_value,
)

MAX_RECURSION = 100
"""The Collector stops at 1000; no honest configuration comes near either."""

_TOKEN = re.compile(r"\$\$|\$\{|\}")
_BARE = re.compile(r"\$([A-Z_][A-Z0-9_]*)")


@dataclass
class Expander:
    """Replaces every ``${…}`` in values; keys stay as they are."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    files: dict[Path, None] = field(default_factory=dict)
    """Files that are read."""
    _count: int = 0

    def expand(self, node: Node, path: str = "", depth: int = 0) -> Node:
        """Return the value with all expansions done; problems are collected.

        Raises: ConfigError when it grows without end.
        """
        self._count += 1
        if self._count > MAX_NODES:
            endless = Problem(path, f"expands to over {MAX_NODES} values", None, node.place)
            raise ConfigError([*self.problems, endless])
        if isinstance(node, Mapping):
            entries = {
                key: Entry(entry.place, self.expand(entry.node, join(path, key), depth))
                for key, entry in node.entries.items()
            }
            return Mapping(entries, node.place)
        if isinstance(node, Sequence):
            items = (
                self.expand(item, f"{path}[{number}]", depth)
                for number, item in enumerate(node.items)
            )
            return Sequence(tuple(items), node.place)
        if "$" not in node.text or not isinstance(node.value, str):
            return node
        return _Text(self, node, path, depth).expanded()


@dataclass
class _Text:
    """One scalar that has a ``$``."""

    expander: Expander
    node: Scalar
    path: str
    depth: int

    def expanded(self) -> Node:
        text = self.node.text
        if self.depth > MAX_RECURSION:
            self.complain("expands into itself", "break the circle of ${…}")
            return self.node
        if bare := _BARE.fullmatch(text):
            # Which one is not repeated where it may be a password.
            name = "NAME" if looks_secret(steps(self.path)) else bare[1]
            self.warn(f"${name} is taken as text", f"write ${{env:{name}}} if it is a variable")
        if text.startswith("${") and self._end(text, 2) == len(text):
            return self._fetch(text[2:-1])
        result, position, origins = "", 0, []
        while match := _TOKEN.search(text, position):
            result += text[position : match.start()]
            position = match.end()
            end = self._end(text, position) if match[0] == "${" else None
            if match[0] == "$$":
                result += "$"
            elif end is None:
                result += match[0]
                if match[0] == "${":
                    self.warn("opens '${' that nothing closes; taken as text", "add the '}'")
            else:
                value = self._fetch(text[position : end - 1])
                position = end
                if not isinstance(value, Scalar):
                    self.complain("puts a map or a list into a text", "let ${…} stand alone")
                    continue
                result += value.text
                origins.append(value.origin)
        result += text[position:]
        origin = ", ".join(name for name in origins if name) or self.node.origin
        return Scalar(result, result, self.node.place, origin)

    @staticmethod
    def _end(text: str, position: int) -> int | None:
        """Return the position behind the brace that closes the one before ``position``."""
        level = 1
        while match := _TOKEN.search(text, position):
            position = match.end()
            if match[0] != "$$":
                level += 1 if match[0] == "${" else -1
            if level == 0:
                return position
        return None

    def _fetch(self, inner: str) -> Node:
        """Return the value of ``${inner}``."""
        place = self.node.place
        if "$" in inner:
            resolved = _Text(
                self.expander, self._scalar(inner), self.path, self.depth + 1
            ).expanded()
            if not isinstance(resolved, Scalar) or "$" in resolved.text:
                self.complain("has a '$' inside ${…} that is no variable", "take it out")
                return Scalar(None, "", place)
            inner = resolved.text
        name, default = _default(inner)
        scheme, rest = sources.split(inner) or ("env", inner)
        if default is not None:
            scheme, rest = "env", name
        origin = _origin(scheme, rest)
        try:
            text = self._text(scheme, rest, default)
        except SourceError as error:
            self.complain(f"{origin}: {error}", error.fix)
            return Scalar(None, "", place, origin)
        if text is None:
            return Scalar(default, "", place, origin)
        value = read_value(text, place, sources.public(f"{scheme}:{rest}"))
        if scheme in ("env", "yaml"):
            value = moved(value, place, origin)
        return self.expander.expand(value, self.path, self.depth + 1)

    def _text(self, scheme: str, rest: str, default: str | None) -> str | None:
        if scheme == "env":
            found = sources.variable(rest)
            if found is None and default is None:
                self.warn(
                    f"the environment variable {rest} is not set; nothing stands here",
                    f"set it, or write a default: ${{env:{rest}:-default}}",
                )
            return found if found is not None else default or None
        if scheme == "file":
            self.expander.files[Path(rest)] = None
            return sources.read_file(rest)
        if scheme == "yaml":
            return rest
        if scheme in ("http", "https"):
            if sources.can_be_changed_on_the_way(f"{scheme}:{rest}"):
                self.warn(*sources.NO_TLS)
            return sources.read_url(f"{scheme}:{rest}")
        raise SourceError(
            f"'{scheme}:' is not a source that can be read", suggestion(scheme, sources.SCHEMES)
        )

    def _scalar(self, text: str) -> Scalar:
        return Scalar(text, text, self.node.place, self.node.origin)

    def warn(self, message: str, fix: str | None) -> None:
        self.expander.warnings.append(Problem(self.path, message, fix, self.node.place))

    def complain(self, message: str, fix: str | None) -> None:
        problem = Problem(self.path, message, fix, self.node.place)
        if problem not in self.expander.problems:
            self.expander.problems.append(problem)


def _origin(scheme: str, rest: str) -> str:
    """Return the expansion as messages name it, without what may be secret."""
    if scheme in ("http", "https"):
        return f"${{{sources.public(f'{scheme}:{rest}')}}}"
    return f"${{{scheme}:{rest if scheme in ('env', 'file') else '…'}}}"


def _default(inner: str) -> tuple[str, str | None]:
    """Return the variable's name and the default of ``env:NAME:-default``; None without one."""
    name, mark, default = inner.removeprefix("env:").partition(":-")
    if not mark or sources.split(name):
        return name, None
    return name, default


def join(path: str, key: str) -> str:
    """Return the path of a key below ``path``."""
    return f"{path}.{key}" if path else key
