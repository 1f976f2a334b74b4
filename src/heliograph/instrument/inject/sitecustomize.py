"""Starts Heliograph in every Python program below `heliograph run`; not for importing."""

import importlib
import os
import sys

try:
    from heliograph.instrument import start

    start.start()
except ModuleNotFoundError as error:
    # Another environment's Python, a child of the program: it goes uninstrumented.
    if not (error.name or "").startswith("heliograph"):
        print(f"heliograph: not instrumented: {error!r}", file=sys.stderr)
except Exception as error:
    print(f"heliograph: not instrumented: {error!r}", file=sys.stderr)

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
