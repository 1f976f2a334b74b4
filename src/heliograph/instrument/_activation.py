"""Instrumentations, each activated when its library is imported, and what became of them."""

from __future__ import annotations

import os
import sys
from _thread import RLock
from importlib import import_module

from heliograph.instrument._libraries import IMPORTS
from heliograph.instrument.fast import LIBRARIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every program pays for what is imported here.
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from heliograph.instrument._entries import Entry
    from heliograph.instrument._hook import ImportHook
    from heliograph.instrument.fast import Library

DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
CHOSEN = "HELIOGRAPH_CONTRIB_INSTRUMENTATIONS"
"""Names of instrumentations, or ``*``, for which contrib's package is used instead of ours."""

REPORT = "HELIOGRAPH_REPORT"
"""A file that gets what became of the instrumentations, after each change; for the doctor."""

PREFIX = "opentelemetry.instrumentation."

EARLY = ", but it was imported earlier: what others took from it then is not instrumented"

LEFT_TO_CONTRIB = "instrumented by contrib's package, which the program uses itself"

FOUNDATIONS = ("wrapt", "opentelemetry.instrumentation.instrumentor")
"""What every instrumentation of contrib's is made with. They import libraries that are themselves
instrumented, asyncio among them; so none of contrib's can begin while these are being imported."""

OURS = {"logging"}
"""Contrib's instrumentations whose work the SDK itself does."""


def listed(variable: str) -> set[str]:
    """Return the names that a variable lists, with commas between."""
    return {name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()}


class Activation:
    """What waits for which import, and the state of each instrumentation, by name."""

    def __init__(self, hook: ImportHook, can_record: Callable[[], bool] = lambda: True) -> None:
        self._hook = hook
        self._can_record = can_record
        self._lock = RLock()
        self.states: dict[str, str] = {}
        self._unfinished: set[str] = set()
        self._later: list[Callable[[], None]] = []
        for name in FOUNDATIONS:
            self._stand_back(name)
        self._applied: dict[str, Any] = {}
        self._left: set[str] = set()

    def watch(self, found: list[Entry]) -> None:
        """Wait for the libraries of our instrumentations and of these; load the unknown ones."""
        disabled, contrib = listed(DISABLED), listed(CHOSEN)
        packages = {entry.name: entry for entry in found}
        for name, library in LIBRARIES.items():
            if not {name, "*"} & contrib or name not in packages:
                fallback = packages.pop(name, None)
                ours = self._activating(name, fallback)
                self._wait(name, (library.module,), ours, disabled, library.part_of)
                self._adopt_later(name, library)
        for part, adopt in (
            ("dbapi", "adopt_dbapi"),
            ("httpx", "adopt_transports"),
            ("asgi", "adopt_middleware"),
            ("wsgi", "adopt_middleware"),
        ):
            self._hook.when_imported(f"{PREFIX}{part}", _adopting(adopt))
        for name, entry in packages.items():
            modules = IMPORTS.get(name, ())
            if name not in OURS:
                # The program may import it before its library.
                self._stand_back(entry.module)
                self._wait(name, modules, _using(entry), disabled)
        self.report()

    def _wait(
        self,
        name: str,
        modules: tuple[str, ...],
        activate: Callable[[Any], str],
        disabled: set[str],
        part_of: str = "",
    ) -> None:
        if {name, part_of, "*"} & disabled:
            self.states[name] = f"disabled by {DISABLED}"
            return
        self.states[name] = "its library is not imported"
        early = any(module in sys.modules for module in modules)

        def act(module: ModuleType | None) -> None:
            if not self._unfinished.isdisjoint(sys.modules):
                self._later.append(lambda: act(module))
                return
            with self._lock:
                if name in done:
                    return
                done.append(name)
                self.states[name] = "activating"
            try:
                # What waits for the API must not run in the middle of an import of contrib's.
                import_module("opentelemetry.trace")
                if not self._can_record():
                    self.states[name] = "not instrumented: there is no native core"
                    return
                self.states[name] = activate(module) + (EARLY if early else "")
            except ModuleNotFoundError as error:
                self.states[name] = f"cannot load: {error}"
            except Exception as error:
                self.states[name] = f"failed: {error!r}"
                print(f"heliograph: instrumenting {name} failed: {error!r}", file=sys.stderr)
            self.report()

        done: list[str] = []
        for module in modules:
            self._hook.when_imported(module, act)
        if not modules:
            act(None)

    def _stand_back(self, name: str) -> None:
        """Begin nothing while this module is being imported."""
        self._unfinished.add(name)

        def founded(_module: ModuleType) -> None:
            self._unfinished.discard(name)
            while self._later and self._unfinished.isdisjoint(sys.modules):
                self._later.pop(0)()

        self._hook.when_imported(name, founded)

    def _activating(self, name: str, fallback: Entry | None) -> Callable[[Any], str]:
        return lambda module: self._ours(name, fallback, module)

    def _ours(self, name: str, fallback: Entry | None, module: ModuleType) -> str:
        from heliograph.instrument._versions import conflict  # noqa: PLC0415 - imports `re`

        reason = conflict(LIBRARIES[name].requires, any_of=True)
        if reason is not None:
            return f"not instrumented: {reason}" if fallback is None else _contrib(fallback, module)
        if name in self._left:
            return LEFT_TO_CONTRIB
        from heliograph.instrument.fast._patch import Settings  # noqa: PLC0415 - imports the API

        ours: Any = import_module(f"heliograph.instrument.fast.{name}")
        self._applied[name] = ours.instrument(module, Settings())
        return "instrumented"

    def _adopt_later(self, name: str, library: Library) -> None:
        """Make way where the program uses contrib's package for a library of ours."""

        def withdraw() -> None:
            self._left.add(name)
            self.states[name] = LEFT_TO_CONTRIB
            if name in self._applied:
                self._applied.pop(name).leave()
            self.report()

        def adopt(contrib: ModuleType) -> None:
            from heliograph.instrument.fast import _adopt  # noqa: PLC0415 - imports the API

            _adopt.adopt(contrib, instrumentor, withdraw)

        package, _, instrumentor = library.contrib.partition(":")
        if package:
            self._hook.when_imported(f"{PREFIX}{package}", adopt)

    def report(self) -> None:
        """Write the states, as one line of JSON, to the file of `REPORT`."""
        path = os.environ.get(REPORT)
        if path:
            import json  # noqa: PLC0415 - for the doctor alone

            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"pid": os.getpid(), "states": self.states}) + "\n")


def _adopting(name: str) -> Callable[[ModuleType], None]:
    """Return what makes way beneath a part that several packages of contrib's are made with."""

    def adopt(contrib: ModuleType) -> None:
        from heliograph.instrument.fast import _adopt  # noqa: PLC0415 - imports the API

        getattr(_adopt, name)(contrib)

    return adopt


def _using(entry: Entry) -> Callable[[ModuleType | None], str]:
    return lambda module: _contrib(entry, module)


def _contrib(entry: Entry, _module: ModuleType | None) -> str:
    from heliograph.instrument._versions import conflict, instruments  # noqa: PLC0415 - as above

    every, some = instruments(entry.requires())
    reason = conflict(every) or (conflict(some, any_of=True) if some else None)
    if reason is not None:
        return f"not instrumented: {reason}"
    made: Any = getattr(import_module(entry.module), entry.attribute)
    made().instrument(skip_dep_check=True)
    return "instrumented by contrib"
