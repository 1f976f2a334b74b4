"""Where a program instruments a library with contrib's package itself, contrib does it alone.

As a whole: ours is withdrawn. One application, engine, client or connection: that one is left to
contrib, and ours goes on for the others. Contrib's hooks and options hold, and there is one span.
"""

from collections.abc import Callable
from inspect import getattr_static, iscoroutinefunction
from types import MethodType
from typing import Any

from heliograph.instrument.fast._context import HttpSuppressed
from heliograph.instrument.fast._patch import LEFT, Patches
from heliograph.instrument.fast._sql import Inside, inside

_HANDLERS = ("handle_request", "handle_async_request")
_SENDERS = ("execute", "immediate_execute_command")


def adopt(contrib: Any, class_name: str, withdraw: Callable[[], None]) -> Patches:
    """Watch a contrib module that the program has imported.

    Args:
        contrib: the module, ``opentelemetry.instrumentation.*``.
        class_name: its instrumentor; nothing is watched where a version has none of the name.
        withdraw: undoes ours.
    """
    patches = Patches()
    owner = getattr(contrib, class_name, None)
    if owner is None:
        return patches

    def instrument(original: Any) -> Any:
        def call(self: Any, *arguments: Any, **options: Any) -> Any:
            engines = [options.get("engine"), *(options.get("engines") or ())]
            chosen = [engine for engine in engines if engine is not None]
            for engine in chosen:
                setattr(getattr(engine, "sync_engine", engine), LEFT, True)
            if not chosen:
                withdraw()
            return original(self, *arguments, **options)

        return call

    _replace(patches, owner, "instrument", instrument)
    _before(patches, owner, "instrument_app", "app", _leave)
    _before(patches, owner, "instrument_client", "client", _quieten)
    return patches


def adopt_transports(contrib: Any) -> Patches:
    """Leave to contrib the transports that a program puts into contrib's own, of httpx."""
    patches = Patches()
    for name, kind in list(vars(contrib).items()):
        if isinstance(kind, type) and "OpenTelemetryTransport" in name and not name.startswith("_"):

            def make(original: Any) -> Any:
                def call(self: Any, transport: Any, *arguments: Any, **options: Any) -> None:
                    _quieten_methods(transport, _HANDLERS, HttpSuppressed)
                    original(self, transport, *arguments, **options)

                return call

            _replace(patches, kind, "__init__", make)
    return patches


def adopt_dbapi(dbapi: Any) -> Patches:
    """Have nothing make a span beneath a cursor of contrib's, whoever asked for that."""
    patches = Patches()

    def traced(original: Any) -> Any:
        def call(self: Any, cursor: Any, method: Any, *arguments: Any, **options: Any) -> Any:
            if inside.get():  # another cursor of contrib's, or an engine of its
                return method(*arguments, **options)
            return original(self, cursor, quiet(method, Inside), *arguments, **options)

        return call

    for name in ("traced_execution", "traced_execution_async"):
        if name in vars(dbapi.CursorTracer):
            patches.replace(dbapi.CursorTracer, name, traced)
    return patches


def adopt_middleware(contrib: Any) -> Patches:
    """Leave to contrib the requests that come through its middleware, of WSGI or ASGI."""
    patches = Patches()

    def called(original: Any) -> Any:
        def call(self: Any, request: Any, *arguments: Any) -> Any:
            request.setdefault(LEFT, True)
            return original(self, request, *arguments)

        async def awaited(self: Any, request: Any, *arguments: Any) -> Any:
            await call(self, request, *arguments)

        return awaited if iscoroutinefunction(original) else call

    patches.replace(contrib.OpenTelemetryMiddleware, "__call__", called)
    return patches


def quiet(method: Any, within: Callable[[], Any]) -> Any:
    """Return a function, or a coroutine function, that runs within a context."""
    if iscoroutinefunction(method):

        async def awaited(*arguments: Any, **options: Any) -> Any:
            with within():
                return await method(*arguments, **options)

        return awaited

    def call(*arguments: Any, **options: Any) -> Any:
        with within():
            return method(*arguments, **options)

    return call


def _leave(application: Any) -> None:
    setattr(application, LEFT, True)


def _quieten(client: Any) -> None:
    """Have a client of httpx or Redis make no spans of ours, before contrib wraps its methods."""
    if hasattr(client, "_transport"):
        for transport in (client._transport, *getattr(client, "_mounts", {}).values()):
            _quieten_methods(transport, _HANDLERS, HttpSuppressed)
    elif hasattr(client, "execute_command"):
        _quieten_methods(client, ("execute_command",), Inside)
        make = client.pipeline

        def pipeline(_client: Any, *arguments: Any, **options: Any) -> Any:
            made = make(*arguments, **options)
            _quieten_methods(made, _SENDERS, Inside)
            return made

        client.pipeline = MethodType(pipeline, client)


def _quieten_methods(owner: Any, names: tuple[str, ...], within: Callable[[], Any]) -> None:
    """Have methods of one object run within a context; contrib finds the object by them."""
    for name in names:
        if hasattr(owner, name):
            method = quiet(getattr(owner, name), within)
            setattr(owner, name, MethodType(_without_self(method), owner))


def _without_self(method: Any) -> Any:
    if iscoroutinefunction(method):

        async def awaited(_self: Any, *arguments: Any, **options: Any) -> Any:
            return await method(*arguments, **options)

        return awaited
    return lambda _self, *arguments, **options: method(*arguments, **options)


def _before(
    patches: Patches, owner: Any, name: str, argument: str, act: Callable[[Any], None]
) -> None:
    """Do something with the first argument of a static or class method before it runs."""
    if not isinstance(getattr_static(owner, name, None), (staticmethod, classmethod)):
        return
    bound = getattr(owner, name)
    own = vars(owner).get(name)

    def call(*arguments: Any, **options: Any) -> Any:
        act(arguments[0] if arguments else options[argument])
        return bound(*arguments, **options)

    setattr(owner, name, staticmethod(call))

    def undo() -> None:
        delattr(owner, name) if own is None else setattr(owner, name, own)

    patches.on_undo(undo)


def _replace(patches: Patches, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace a method that the owner may have inherited."""
    if name in vars(owner):
        patches.replace(owner, name, make)
        return

    def inherited(self: Any, *arguments: Any, **options: Any) -> Any:
        return getattr(super(owner, self), name)(*arguments, **options)

    setattr(owner, name, make(inherited))
    patches.on_undo(lambda: delattr(owner, name))
