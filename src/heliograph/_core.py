"""Found only where there is no native core, which goes before: says so."""

raise ImportError(
    "heliograph has no native core for this interpreter or platform: it takes CPython 3.11 or "
    "later with the interpreter's lock, and a wheel of docs/guide/wheels.md; 'heliograph run' "
    "starts the program without telemetry",
    name=__name__,
)
