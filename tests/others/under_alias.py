"""Run a program on our SDK: ``under_alias.py PROGRAM MODE``.

Modes: ``absent``, without opentelemetry-sdk; ``replaced``, in its place; ``beside``, where it is
installed and left alone.
"""

import runpy
import sys

from heliograph.sdk import install_aliases

if __name__ == "__main__":
    program, mode = sys.argv[1:]
    install_aliases(replace=mode == "replaced")
    runpy.run_path(program, run_name="__main__")
