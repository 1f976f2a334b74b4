"""What the interpreter that runs this is and has installed.

Also a program for another interpreter, so it imports the standard library alone.
"""

import json
import os
import platform
import sys
from typing import Any


def environment() -> dict[str, str]:
    """Return the variables of markers. Spec: Dependency specifiers, environment markers (PyPA)."""
    version = platform.python_version()
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": version,
        "python_version": ".".join(version.split(".")[:2]),
        "sys_platform": sys.platform,
    }


def survey() -> dict[str, Any]:
    """Return executable, environment, variables of markers, whether pip is there, and the packages
    in the order of the path: name, version, requirements."""
    from importlib.metadata import distributions  # noqa: PLC0415 - slow
    from importlib.util import find_spec  # noqa: PLC0415 - as above

    found = [
        (one.metadata["Name"], one.version, list(one.requires or ())) for one in distributions()
    ]
    return {
        "executable": sys.executable,
        "prefix": sys.prefix,
        "variables": environment(),
        "has_pip": find_spec("pip") is not None,
        "packages": [each for each in found if each[0]],
    }


if __name__ == "__main__":
    sys.path[:1] = []
    print(json.dumps(survey()))
