"""The control socket: what people and tools ask a running collector.

One JSON object a line, both ways::

    {"command": "reload"}
    {"ok": true, "result": {"restarted": ["exporters.otlp"], …}}
    {"ok": false, "error": "config.yaml:4:22: …"}

A Unix socket that only its owner may use.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from heliograph.errors import HeliographError
from heliograph.pipeline.redaction import redact
from heliograph.pipeline.state import control_sockets
from heliograph.pipeline.system import descriptor_of_directory, start_unix_server, unix_socket

Handler = Callable[[Mapping[str, Any]], Awaitable[Any]]

MAX_LINE = 64 * 1024
PATIENCE = 60.0
"""Seconds that `ask` waits for an answer."""
_LONGEST = 100
"""Bytes of a path that surely fit into a socket's address."""


class ControlError(HeliographError):
    """Nobody answers, or the answer is no; the text says why."""


class Control:
    """Answers on a path; ``handlers`` are by command and may be added to."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler], log: logging.Logger) -> None:
        self.path = path
        self.handlers = dict(handlers)
        self._log = log
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen, in place of whoever left a socket there. Raises: OSError."""
        self.path.unlink(missing_ok=True)
        bound = unix_socket()
        try:
            with _short(self.path) as address:
                bound.bind(address)
            self.path.chmod(0o600)
            options: dict[str, Any] = {"sock": bound, "limit": MAX_LINE}
            if sys.version_info >= (3, 13):
                options["cleanup_socket"] = False
            self._server = await start_unix_server(self._connected, **options)
        except OSError:
            bound.close()
            raise

    async def stop(self) -> None:
        """Close; safe without start and twice."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self.path.unlink(missing_ok=True)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while self._server is not None and (line := await reader.readline()):
                answer = await self._answer(line)
                writer.write(json.dumps(answer, default=str).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError) as error:
            self._log.debug("a connection to the control socket ended: %s", error)
        except asyncio.CancelledError:
            self._log.debug("a connection to the control socket was cut off")
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError as error:
            return {"ok": False, "error": f"is no JSON: {error}"}
        command = request.get("command") if isinstance(request, dict) else None
        handler = self.handlers.get(command) if isinstance(command, str) else None
        if handler is None:
            known = ", ".join(sorted(self.handlers))
            return {"ok": False, "error": f"there is no command {command!r}; there are: {known}"}
        try:
            return {"ok": True, "result": await handler(request)}
        except HeliographError as error:
            return {"ok": False, "error": redact(str(error))}
        except Exception as error:
            self._log.exception("the command %s failed", command)
            return {"ok": False, "error": redact(f"{type(error).__name__}: {error}")}


def ask(path: Path, command: str, *, patience: float = PATIENCE, **fields: Any) -> Any:
    """Return the result of a command to the collector that listens on a path; blocking.

    Raises: ControlError.
    """
    line = json.dumps({**fields, "command": command}).encode() + b"\n"
    try:
        with unix_socket() as to:
            to.settimeout(patience)
            with _short(path) as address:
                to.connect(address)
            to.sendall(line)
            with to.makefile("rb") as answers:
                answer = json.loads(answers.readline() or b"null")
    except (FileNotFoundError, ConnectionRefusedError):
        raise ControlError(f"no collector listens on {path}") from None
    except TimeoutError:
        raise ControlError(f"no answer on {path} within {patience:g} s") from None
    except (OSError, ValueError) as error:
        raise ControlError(f"{path}: {error}") from None
    if not isinstance(answer, dict):
        raise ControlError(f"the collector on {path} went away without an answer")
    if not answer.get("ok"):
        raise ControlError(str(answer.get("error")))
    return answer.get("result")


def running(sources: Sequence[str], path: str | None = None) -> Path:
    """Return the control socket of the one collector that runs with a configuration.

    Args:
        path: the socket, where somebody has named it.
    Raises: ControlError when none runs, or several.
    """
    if path is not None:
        return Path(path)
    try:
        places = list(control_sockets(sources))
        found = [place for place in places if _answers(place)]
    except OSError as error:
        raise ControlError(str(error)) from None
    if not found:
        raise ControlError(f"no collector with this configuration listens on {places[0]}")
    if len(found) > 1:
        listed = ", ".join(map(str, found))
        raise ControlError(f"several collectors run with it; choose a --socket: {listed}")
    return found[0]


def _answers(path: Path) -> bool:
    with unix_socket() as to:
        try:
            with _short(path) as address:
                to.connect(address)
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Give an address of the path that fits: the directory goes by its descriptor if it must."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    directory = descriptor_of_directory(path.parent)
    try:
        short = Path(f"/proc/self/fd/{directory}")
        if not short.exists():
            raise OSError(f"the path of a Unix socket may have {_LONGEST} bytes: {path}")
        yield str(short / path.name)
    finally:
        os.close(directory)
