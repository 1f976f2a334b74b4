"""The program's own providers win over those that were configured for it.

The API lets a provider be set once. Here its guard lets the program set one more, over ours: what
was obtained from ours before goes to the program's from then on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import opentelemetry._logs._internal as logs_api
import opentelemetry.metrics._internal as metrics_api
import opentelemetry.trace as trace_api

from heliograph.sdk.configuration._configured import Configured

_SIGNALS = {"tracer_provider": "traces", "meter_provider": "metrics", "logger_provider": "logs"}

_log = logging.getLogger("heliograph.sdk.configuration")


class Handover:
    """Stands where the API keeps its guard; lets one more provider be set.

    Args:
        module, variable: where the API keeps the provider.
        ours: the provider that is replaced.
        take: called with ours and the new one, before anybody sees it.
    """

    def __init__(
        self, module: Any, variable: str, ours: Any, take: Callable[[Any, Any], None]
    ) -> None:
        self._module = module
        self._variable = variable
        self._ours = ours
        self._take = take
        self._lock = threading.RLock()
        self._done = False

    def do_once(self, func: Callable[[], None]) -> bool:
        """Set the provider, unless the program has set one before; return whether it is set."""
        with self._lock:
            if self._done:
                return False
            func()
            new = getattr(self._module, self._variable)
            if new is self._ours:
                return True
            self._done = True
        try:
            self._take(self._ours, new)
        except Exception:
            _log.exception("%s could not take over from ours", new)
        return True


def install_replaceable(made: Configured) -> None:
    """Make the providers global, so that the program's take over when it sets some.

    Where it has set one already ours is shut down and forgotten.
    """
    from heliograph.sdk.configuration import _handover as handover  # noqa: PLC0415 - as needed

    signals = (
        ("tracer_provider", trace_api, "TRACER", trace_api.set_tracer_provider, handover.traces),
        ("meter_provider", metrics_api, "METER", metrics_api.set_meter_provider, handover.metrics),
        ("logger_provider", logs_api, "LOGGER", logs_api.set_logger_provider, handover.logs),
    )
    for name, module, kind, set_global, take in signals:
        ours = getattr(made, name)
        if ours is None:
            continue
        variable, guard = f"_{kind}_PROVIDER", f"_{kind}_PROVIDER_SET_ONCE"
        if getattr(module, variable) is not None:
            ours.shutdown()
            setattr(made, name, None)
            continue
        set_global(ours)
        once = getattr(module, guard)
        setattr(module, guard, Handover(module, variable, ours, _taking(made, name, take)))

        def undo(module: Any = module, guard: str = guard, once: Any = once) -> None:
            setattr(module, guard, once)

        made._undo.append(undo)


def _taking(made: Configured, name: str, take: Callable[..., None]) -> Callable[[Any, Any], None]:
    def taking(ours: Any, new: Any) -> None:
        setattr(made, name, None)
        take(ours, new)
        signal = _SIGNALS[name]
        made.destinations = [
            one for one in made.destinations if one.signal != signal or one.is_named
        ]

    return taking
