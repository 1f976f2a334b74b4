"""What this process must never write: the secrets of its configuration.

No code of ours writes a secret. This stands behind that, for what others write: exceptions of
libraries and of components, tracebacks, the answers of backends. The log, the command line and the
answers to senders go through `redact`.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

HIDDEN = "**********"
SHORTEST = 6
"""Characters of a secret that is looked for; shorter ones would blot out ordinary words."""
MOST = 10_000
"""Texts that are looked for; beyond them the oldest are forgotten."""

_CREDENTIALS = re.compile(
    r"(?<=://)[^\s/?#@'\"]*:[^\s@'\"]*@"  # user:password@, a password with slashes too
    r"|(?<=://)[^\s/?#@'\"]+@"  # a name alone may be a token
    r"|(?<![^\s'\"])[^\s/?#@:'\"]+:[^\s/@'\"]+@(?=[\w\[])"  # the same without a scheme
)


def without_credentials(text: str) -> str:
    """Return a text without the ``user:password`` of the addresses in it."""
    return _CREDENTIALS.sub(f"{HIDDEN}@", text) if "@" in text else text


def credentials(text: str) -> Iterator[str]:
    """Yield the ``user:password`` of the addresses in a text, and each password alone."""
    for found in _CREDENTIALS.findall(text) if "@" in text else ():
        pair = found.removesuffix("@")
        yield pair
        if ":" in pair:
            yield pair.partition(":")[2]


def shown(value: Any) -> Any:
    """Return a value as a representation may show it."""
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, Path):
        return type(value)(without_credentials(str(value)))
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return {key: shown(item) for key, item in value.items()} if isinstance(value, dict) else value


class Redactor:
    """Blots out texts that were called secret, however they are written down."""

    def __init__(self) -> None:
        self._forms: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def hide(self, *secrets: str) -> None:
        """Blot these out from now on, and their lines."""
        with self._lock:
            before = len(self._forms)
            for secret in secrets:
                for form in _forms(secret):
                    self._forms.setdefault(form)
            if len(self._forms) != before:
                self._forms = dict.fromkeys(list(self._forms)[-MOST:])
                longest_first = sorted(self._forms, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, text: str) -> str:
        pattern = self._pattern
        text = without_credentials(text)
        return pattern.sub(HIDDEN, text) if pattern else text


redact = Redactor()
"""The process's; secrets of an earlier configuration stay hidden after a reload."""


def _forms(secret: str) -> Iterator[str]:
    lines = [line.strip() for line in secret.splitlines()]
    # A line may be user:hash; PEM begins with a line that is no secret.
    parts = [line.partition(":")[2].strip() for line in lines]
    for text in dict.fromkeys([secret.strip(), *lines, *parts]):
        if len(text) >= SHORTEST and not text.startswith("-----BEGIN "):
            yield text
            yield repr(text)[1:-1]
            yield quote(text, safe="")
            yield base64.b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def crash(error: BaseException) -> str:
    """Return the traceback of an exception, redacted."""
    return redact("".join(traceback.format_exception(error)))


def guard(log: logging.Logger) -> None:
    """Let what nobody catches, on any thread and in any task, be written without secrets."""

    def uncaught(kind: type[BaseException], error: BaseException, trace: object) -> None:
        del kind, trace
        sys.stderr.write(crash(error))

    def uncaught_on_a_thread(what: threading.ExceptHookArgs) -> None:
        name = what.thread.name if what.thread else "a thread"
        if what.exc_value is not None and not isinstance(what.exc_value, SystemExit):
            log.error("nobody caught what ended %s", name, exc_info=what.exc_value)

    def unraisable(what: sys.UnraisableHookArgs) -> None:
        log.error("an exception where nobody could catch it", exc_info=what.exc_value)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_on_a_thread
    sys.unraisablehook = unraisable


def guard_loop(loop: asyncio.AbstractEventLoop, log: logging.Logger) -> None:
    """The same for what a loop's callbacks raise: asyncio's own words repeat arguments and results.

    (The representation of a future has its result in it.)
    """

    def uncaught(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        caught = error if isinstance(error, BaseException) else None
        log.error("%s", context.get("message"), exc_info=caught)

    loop.set_exception_handler(uncaught)
