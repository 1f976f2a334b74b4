"""Where a program instruments a library with contrib's package itself, contrib does it alone."""

from collections.abc import Callable
from typing import Any

from heliograph.instrument.fast._patch import LEFT, Patches


def adopt(contrib: Any, class_name: str, withdraw: Callable[[], None]) -> Patches:
    """Watch a contrib module that the program has imported.

    An application or engine that it instruments is left to it; where it instruments the library
    as a whole, ours is withdrawn. Its hooks and options hold, and there is one span.

    Args:
        contrib: the module, ``opentelemetry.instrumentation.*``.
        class_name: its instrumentor.
        withdraw: undoes ours.
    """
    patches = Patches()
    owner = getattr(contrib, class_name)

    def instrument(self: Any, **options: Any) -> Any:
        engines = [options.get("engine"), *(options.get("engines") or ())]
        chosen = [engine for engine in engines if engine is not None]
        for engine in chosen:
            setattr(getattr(engine, "sync_engine", engine), LEFT, True)
        if not chosen:
            withdraw()
        return super(owner, self).instrument(**options)

    def instrument_app(original: Any) -> Any:
        def call(app: Any, *arguments: Any, **options: Any) -> Any:
            setattr(app, LEFT, True)
            return original(app, *arguments, **options)

        return call

    if "instrument" not in vars(owner):
        owner.instrument = instrument
        patches.on_undo(lambda: delattr(owner, "instrument"))
    if "instrument_app" in vars(owner):
        original = vars(owner)["instrument_app"]
        replacement = instrument_app(original.__func__)
        setattr(owner, "instrument_app", staticmethod(replacement))  # noqa: B010 - of any class
        patches.on_undo(lambda: setattr(owner, "instrument_app", original))
    return patches
