"""OpenTelemetry inside a program, behind the official API.

Modules and names are those of ``opentelemetry.sdk`` and ``opentelemetry.exporter``: a program
changes the prefix of its imports to ``heliograph.sdk`` and ``heliograph.sdk.exporter``, or none
under `install_aliases`.
"""

from heliograph.sdk._alias import install_aliases


def flush_on_sigterm() -> bool:
    """Flush the providers on SIGTERM, then end as the signal would have ended the program.

    A handler of the program's own, set before or later, is left alone; setting ``SIG_DFL`` through
    `signal.signal` brings this one back. Call it in the main thread. Returns whether it was put in
    place now; False, too, where there is no SIGTERM to handle.
    """
    from heliograph.sdk import _sigterm  # noqa: PLC0415 - most programs never need it

    return _sigterm.flush_on_sigterm()


__all__ = ["flush_on_sigterm", "install_aliases"]
