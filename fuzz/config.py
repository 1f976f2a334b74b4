"""Fuzz the configuration with atheris: bytes in, a `Config` or problems out, never anything else.

Usage: python fuzz/config.py [CORPUS…] [-libfuzzer_flags]. Needs the package atheris, which is no
dependency: tests/pipeline/config/test_config_fuzz.py does the same without it.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

with atheris.instrument_imports(include=["heliograph", "yaml"]):
    from heliograph.pipeline.config.load import Loader
    from heliograph.pipeline.config.printing import as_json, as_yaml


def target(data: bytes) -> None:
    """Load a configuration from bytes as a file would bring them, and print it."""
    text = data.decode(errors="replace")
    loader = Loader([f"yaml:{text}"])
    config = loader.config()
    assert (config is None) == bool(loader.problems)
    assert all(problem.message for problem in loader.problems)
    as_yaml(loader)
    as_json(loader)


if __name__ == "__main__":
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
