"""What runs in a program before the program itself.

The SDK is configured when somebody first asks for the API, or logs.
"""

from __future__ import annotations

import os
import sys
from _thread import RLock
from importlib import import_module

from heliograph.sdk import install_aliases

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Every program pays for what is imported here.
    from collections.abc import Iterable
    from types import ModuleType
    from typing import Any

    from heliograph.instrument._activation import Activation
    from heliograph.instrument._entries import Entry
    from heliograph.instrument._hook import ImportHook

QUIET = "HELIOGRAPH_NOTHING_TO_SEND_TO"
"""Set by the launcher when no endpoint is configured and nobody listens at the default one."""

REPLACE = "HELIOGRAPH_REPLACE_SDK"

PRE, POST = "opentelemetry_pre_instrument", "opentelemetry_post_instrument"
"""Groups of functions that are called before and after libraries are waited for."""

GEVENT = "OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH"

DEFAULTS = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process,host,os,container,kubernetes",
}

SDK = "heliograph.sdk"
API = ("opentelemetry.trace", "opentelemetry.metrics", "opentelemetry._logs")

_state: dict[str, Any] = {}
_lock = RLock()


def is_disabled() -> bool:
    """Return whether ``OTEL_SDK_DISABLED`` is true."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def start(*, own_sdk: bool = True) -> Activation | None:
    """Wait for the libraries that can be instrumented. Safe twice; None when disabled.

    Without ``own_sdk`` somebody else configures the SDK.
    """
    with _lock:
        if "started" in _state:
            return _state.get("activation")
        _state["started"] = True
    _patch_gevent()
    install_aliases(replace=os.environ.get(REPLACE, "") == "true")
    if is_disabled():
        return None
    from heliograph.instrument._activation import Activation  # noqa: PLC0415 - not when disabled
    from heliograph.instrument._entries import entries, texts  # noqa: PLC0415 - as above
    from heliograph.instrument._hook import ImportHook  # noqa: PLC0415 - as above

    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    hook = ImportHook()
    hook.install()
    if own_sdk:
        for name in API:
            hook.when_imported(name, _configure_with_the_api)
        hook.after_each(SDK, lambda module: _configure_after_the_sdk(hook, module))
        if _takes_logs():
            hook.when_imported("logging", _take_logs)
    activation = _state["activation"] = Activation(hook, can_record)
    found = list(texts())
    _tell(entries(PRE, found))
    activation.watch(list(entries(found=found)))
    _tell(entries(POST, found))
    return activation


def _configure_with_the_api(module: ModuleType) -> None:
    """Configure the SDK, which imports the whole API, unless a part of either is half imported:
    then that comes here, too, when it is whole."""
    if not _is_half_imported():
        configure()


def _configure_after_the_sdk(hook: ImportHook, module: ModuleType) -> None:
    """Configure where the program has imported the SDK before the API, which came with it."""
    if "configured" in _state:
        hook.forget(SDK)
    elif any(name in sys.modules for name in API):
        _configure_with_the_api(module)


def _is_half_imported() -> bool:
    """Return whether a part of the API or of the SDK is being imported."""
    return any(
        getattr(getattr(module, "__spec__", None), "_initializing", False)
        for name, module in list(sys.modules.items())
        if name in API or name.startswith(f"{SDK}.")
    )


def can_record() -> bool:
    """Return whether the native core can be loaded here; the first time, say why it cannot.

    It cannot on another platform, in a free-threaded build, and in a sub-interpreter.
    """
    with _lock:
        if "core" not in _state:
            _state["core"] = True
            try:
                if not _is_main_interpreter():
                    raise ImportError("this is a sub-interpreter")
                import heliograph._core  # noqa: F401, PLC0415 - not before the API is used
            except Exception as error:
                _state["core"] = False
                why = str(error).partition("\n")[0]
                text = f"not instrumented: the native core cannot be loaded: {why}"
                print(f"heliograph: {text}", file=sys.stderr)
        return bool(_state["core"])


def _is_main_interpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        # Numbers, or tuples that begin with them.
        return str(interpreters.get_current()) == str(interpreters.get_main())
    return True


def _patch_gevent() -> None:
    """Let gevent patch the standard library before anything else is imported, where asked to."""
    asked = os.environ.get(GEVENT)
    if not asked:
        return
    if asked != "patch_all":
        print(f"heliograph: {GEVENT} is {asked!r}, not patch_all; not patched", file=sys.stderr)
        return
    try:
        monkey: Any = import_module("gevent.monkey")
    except ImportError as error:
        print(f"heliograph: {GEVENT}: gevent is not there: {error}", file=sys.stderr)
        return
    monkey.patch_all()


def _tell(registered: Iterable[Entry]) -> None:
    """Call what packages have registered around instrumentation; it may raise."""
    for entry in registered:
        function: Any = getattr(import_module(entry.module), entry.attribute)
        function()


def configure() -> None:
    """Configure the SDK from the environment, once; the program's own providers win later."""
    with _lock:
        if "configured" in _state:
            return
        _state["configured"] = None
        if not can_record():
            return
    from heliograph.sdk.configuration import configure_from_environment  # noqa: PLC0415

    default = "none" if os.environ.get(QUIET) == "true" else "otlp"
    try:
        made = configure_from_environment(
            default_exporter=default,
            replaceable=True,
            logging_handler=None if _takes_logs() else False,
        )
    except (ImportError, OSError, ValueError) as error:
        # The declarative file, which says everything or nothing.
        print(f"heliograph: nothing is recorded: {error}", file=sys.stderr)
        return
    _state["configured"] = made
    import threading  # noqa: PLC0415 - not before the API is used

    if threading.current_thread() is threading.main_thread():
        from heliograph.sdk import flush_on_sigterm  # noqa: PLC0415 - imports the API

        flush_on_sigterm()


def _takes_logs() -> bool:
    """Return whether contrib's instrumentation of `logging`, which is ours, is not disabled."""
    from heliograph.instrument._activation import DISABLED, listed  # noqa: PLC0415 - as in `start`

    return {"logging", "*"}.isdisjoint(listed(DISABLED))


def _take_logs(logging: ModuleType) -> None:
    """Configure the SDK at the first record that is logged; it takes them from then on. Trace ids
    in the program's own format are wanted before it makes one."""
    if not _is_half_imported():
        from heliograph.sdk._correlation import correlate_from_environment  # noqa: PLC0415

        correlate_from_environment()
    before = logging.Logger.callHandlers

    def call_handlers(logger: Any, record: Any) -> None:
        if logging.Logger.callHandlers is call_handlers:
            logging.Logger.callHandlers = before
            configure()
            logging.Logger.callHandlers(logger, record)
        else:
            before(logger, record)

    logging.Logger.callHandlers = call_handlers
