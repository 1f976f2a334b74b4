"""Where configuration comes from: files, the environment, the command line, the web."""

import base64
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Sequence as Several
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from heliograph.errors import ConfigError, Place, Problem
from heliograph.pipeline.config.names import suggestion
from heliograph.pipeline.config.yaml_source import (
    Entry,
    Mapping,
    Node,
    Scalar,
    Sequence,
    is_null,
    moved,
    plain,
    read,
)
from heliograph.pipeline.net import Address

SCHEMES = ("env", "file", "http", "https", "yaml")
MAX_SOURCES = 100
MAX_BYTES = 16 * 2**20
HTTP_TIMEOUT = 10.0
NO_TLS = ("comes without TLS, so that whoever is on the way can change it", "use https:")

Keys = tuple[str, ...]

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_SET_PATH = re.compile(r"[^\s=:{}\[\]\"']+(::[^\s=:{}\[\]\"']+)*")
_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


class SourceError(Exception):
    """A source could not be read; ``fix`` says what to do."""

    def __init__(self, message: str, fix: str | None = None) -> None:
        super().__init__(message)
        self.fix = fix


def split(uri: str) -> tuple[str, str] | None:
    """Return (scheme, rest) of ``scheme:rest``, None when there is no scheme."""
    match = _URI.fullmatch(uri)
    return (match[1], match[2]) if match else None


def read_file(path: str) -> str:
    """Return the text of a file.

    Raises: SourceError.
    """
    try:
        data = Path(path).read_bytes()
    except IsADirectoryError:
        raise SourceError(
            "is a directory", f"name a file in it, such as {Path(path) / 'config.yaml'}"
        ) from None
    except FileNotFoundError:
        raise SourceError("no such file", _near(Path(path))) from None
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SourceError(f"is not UTF-8 text at byte {error.start}", "save it as UTF-8") from None


def _near(path: Path) -> str:
    try:
        others = sorted(p.name for p in path.parent.iterdir() if p.suffix in {".yaml", ".yml"})
    except OSError:
        return f"the folder {path.parent} does not exist either"
    if not others:
        return f"there is no YAML file in {path.parent.absolute()}"
    return suggestion(path.name, others[:10])


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to where credentials and content are as safe as where they were asked for."""

    def redirect_request(  # noqa: PLR0917 - the base class's
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme, new.scheme) == ("https", "http"):
            raise OSError("redirects to where there is no TLS")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and old.netloc != new.netloc:
            request.remove_header("Authorization")
        return request


_OPENER = urllib.request.build_opener(_Redirects)


def read_url(url: str) -> str:
    """Return the text behind an ``http:`` or ``https:`` address.

    Raises: SourceError, which never repeats the address's credentials.
    """
    try:
        with _OPENER.open(_request(url), timeout=HTTP_TIMEOUT) as response:
            data: bytes = response.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise SourceError(f"the server answers {error.code}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        own = str(error) if type(error) is OSError and error.errno is None else None
        reason = getattr(error, "reason", None) or own or type(error).__name__
        raise SourceError(f"cannot be fetched: {reason}") from None
    if len(data) > MAX_BYTES:
        raise SourceError(f"is larger than {MAX_BYTES // 2**20} MiB")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SourceError("is not UTF-8 text") from None


def _request(url: str) -> urllib.request.Request:
    """Return the request; a name and password in the address become its header."""
    parts = urlsplit(url)
    credentials, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)))  # noqa: S310 - http(s) only
    if credentials:
        basic = base64.b64encode(unquote(credentials).encode()).decode()
        request.add_header("Authorization", f"Basic {basic}")
    return request


def variable(name: str) -> str | None:
    """Return an environment variable, None when it is not set.

    Raises: SourceError when no variable can be called that.
    """
    if not _VARIABLE.fullmatch(name):
        raise SourceError(
            f"'{name}' is no name of an environment variable",
            "use letters, digits and _, and do not begin with a digit",
        )
    return os.environ.get(name)


def can_be_changed_on_the_way(uri: str) -> bool:
    """Tell whether a source comes over the network without TLS."""
    scheme, rest = split(uri) or ("file", uri)
    if scheme != "http":
        return False
    try:
        return not Address(urlsplit(f"//{rest.lstrip('/')}").hostname or "", 0).is_loopback
    except ValueError:
        return True


def is_remote(node: Node) -> bool:
    """Tell whether a source from the network says what stands here."""
    origin = node.origin if isinstance(node, Scalar) else None
    scheme, _ = split(node.place.source) or ("file", "")
    return scheme in ("http", "https") or re.search("https?://", origin or "") is not None


def public(uri: str) -> str:
    """Return a source's name for messages, without what may be secret in it."""
    scheme, rest = split(uri) or ("file", uri)
    if scheme in ("http", "https"):
        # By hand: a password may have what ends a URL's host, or make it none at all.
        address = rest.removeprefix("//").partition("?")[0].partition("#")[0]
        host, slash, path = address.partition("/")
        is_whole = "@" in host or re.fullmatch(r"(\[.*\]|[^:]*)(:\d*)?", host)
        return f"{scheme}://" + (
            f"{host.rpartition('@')[2]}{slash}{path}" if is_whole else rest.rpartition("@")[2]
        )
    if scheme == "yaml":
        return "--config yaml"
    return rest if scheme == "file" else uri


def local_files(uris: Several[str]) -> list[Path]:
    """Return the files among some sources."""
    parts = (split(uri) or ("file", uri) for uri in uris)
    return [Path(rest) for scheme, rest in parts if scheme == "file"]


def read_source(uri: str) -> Node:
    """Return what a ``--config`` names.

    Raises: ConfigError.
    """
    scheme, rest = split(uri) or ("file", uri)
    name = public(uri)
    try:
        if scheme == "file":
            return read(read_file(rest), name)
        if scheme == "yaml":
            return read(rest, name)
        if scheme in ("http", "https"):
            return read(read_url(uri), name)
        if scheme == "env":
            text = variable(rest)
            if text is None:
                raise SourceError("the environment variable is not set")
            return read(text, name)
        raise SourceError(
            f"'{scheme}:' is not a source that can be read", suggestion(scheme, SCHEMES)
        )
    except SourceError as error:
        raise ConfigError([Problem("", str(error), error.fix, Place(name))]) from None


def read_set(argument: str) -> Node:
    """Return what a ``--set path=value`` means.

    Raises: ConfigError.
    """
    path, equals, text = argument.partition("=")
    fix = "write --set processors.batch.timeout=2s"
    # What is no path is not repeated: it may be a value.
    is_path = _SET_PATH.fullmatch(path) is not None
    is_shown = is_path and (equals or "." in path)
    place = Place(f"--set {path}" if is_shown else "--set")
    if not equals or not is_path:
        what = "has no path before the '='" if equals else "has no '='"
        raise ConfigError([Problem("", what, fix, place)])
    node = moved(read(text, place.source), place, None)
    keys = path.replace(".", "::") if "::" not in path else path
    return nested(keys, node, place)


def nested(path: str, node: Node, place: Place) -> Mapping:
    """Return the maps that ``a::b::c: node`` stands for."""
    for key in reversed(path.split("::")):
        node = Mapping({key: Entry(place, node)}, place)
    assert isinstance(node, Mapping)
    return node


def unfold(node: Mapping) -> Mapping:
    """Return the map with its ``a::b`` keys written out."""
    result = Mapping({}, node.place)
    for key, entry in node.entries.items():
        part = (
            nested(key, entry.node, entry.place)
            if "::" in key
            else Mapping({key: entry}, node.place)
        )
        result = merge(result, part)
    return result


def merge(first: Mapping, second: Mapping, *, append: bool = False, path: Keys = ()) -> Mapping:
    """Return both: maps deeply, everything else from ``second``; null wipes what was there.

    With ``append`` the lists of ``service`` that name components grow instead.
    """
    entries = dict(first.entries)
    for key, entry in second.entries.items():
        old = entries.get(key)
        here = (*path, key)
        node = entry.node
        if old and isinstance(old.node, Mapping) and isinstance(node, Mapping):
            entry = Entry(old.place, merge(old.node, node, append=append, path=here))  # noqa: PLW2901
        elif append and old and isinstance(old.node, Sequence) and isinstance(node, Sequence):
            entry = Entry(old.place, _appended(old.node, node, here))  # noqa: PLW2901
        entries[key] = entry
    return Mapping(entries, first.place if first.entries else second.place)


def _appended(first: Sequence, second: Sequence, path: Keys) -> Sequence:
    grows = path == ("service", "extensions") or (
        path[:2] == ("service", "pipelines") and path[-1] in ("receivers", "exporters")
    )
    if not grows:
        return second
    there = [plain(item) for item in first.items]
    new = tuple(item for item in second.items if plain(item) not in there)
    return Sequence((*first.items, *new), first.place)


def gather(sources: Several[str], sets: Several[str], *, append: bool = False) -> Mapping:
    """Return all sources merged, then the ``--set`` arguments.

    Raises: ConfigError with what is wrong in each of them.
    """
    result = Mapping({}, Place(public(sources[0]) if sources else "--config"))
    problems: list[Problem] = []
    if len(sources) > MAX_SOURCES:
        problems.append(Problem("", f"--config stands there {len(sources)} times, over 100"))
    for reader, argument in [
        *((read_source, uri) for uri in sources[:MAX_SOURCES]),
        *((read_set, item) for item in sets),
    ]:
        try:
            node = reader(argument)
        except ConfigError as error:
            problems += error.problems
            continue
        if isinstance(node, Mapping):
            result = merge(result, unfold(node), append=append)
        elif not is_null(node):
            what = "a list" if isinstance(node, Sequence) else "text"
            fix = "begin with receivers:, exporters: and service:"
            problems.append(Problem("", f"is {what}, not a map", fix, node.place))
    if problems:
        raise ConfigError(problems)
    return result
