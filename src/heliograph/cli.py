"""Every command of ``heliograph``."""

import sys


def main(argv: list[str] | None = None) -> int:
    """Run a command; return its exit status."""
    del argv
    print("heliograph: no command yet", file=sys.stderr)
    return 2
