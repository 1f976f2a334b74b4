"""Starts Heliograph in every Python program below `heliograph run`; not for importing."""

import importlib
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_GEVENT = "OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH"


class _WhenAsked:
    """Starts when somebody imports something of OpenTelemetry's, and not before."""

    waits = True

    def find_spec(
        self,
        fullname: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        if not self.waits or not fullname.startswith("opentelemetry."):
            return None
        self.waits = False
        _start()
        # What was put in front comes too late for the search that is going on.
        others = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(fullname, path, target) for finder in others)
        return next((spec for spec in found if spec is not None), None)


def _start() -> None:
    try:
        from heliograph.instrument import start  # noqa: PLC0415 - not when disabled

        start.start()
    except ModuleNotFoundError as error:
        # Another environment's Python, a child of the program: it goes uninstrumented.
        if not (error.name or "").startswith("heliograph"):
            print(f"heliograph: not instrumented: {error!r}", file=sys.stderr)
    except Exception as error:
        print(f"heliograph: not instrumented: {error!r}", file=sys.stderr)


if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" and _GEVENT not in os.environ:
    sys.meta_path.insert(0, _WhenAsked())
else:
    _start()

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [place for place in sys.path if os.path.abspath(place or ".") != _here]
_own = sys.modules.pop("sitecustomize", None)
try:
    importlib.import_module("sitecustomize")  # the one that this one hides
except ModuleNotFoundError as error:
    if error.name != "sitecustomize":
        raise
    if _own is not None:
        sys.modules["sitecustomize"] = _own
