"""The current context in work that is handed to another thread or process.

Spec: Context.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from opentelemetry import context, propagate

P = ParamSpec("P")
R = TypeVar("R")


class carry(Generic[P, R]):
    """Return a function that runs in the context that is current now.

    ``executor.submit(carry(work), …)`` and ``Thread(target=carry(work))``. Pickled, as for
    ``multiprocessing``, it takes along what the global propagator takes. Coroutines and tasks need
    nothing of this kind.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        self._function = function
        self._context = context.get_current()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        token = context.attach(self._context)
        try:
            return self._function(*args, **kwargs)
        finally:
            context.detach(token)

    def __getstate__(self) -> tuple[Any, dict[str, str]]:
        carrier: dict[str, str] = {}
        propagate.inject(carrier, self._context)
        return self._function, carrier

    def __setstate__(self, state: tuple[Any, dict[str, str]]) -> None:
        self._function, carrier = state
        self._context = propagate.extract(carrier)
