"""The threat note names tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tests_that_the_note_names_exist() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    named = set(re.findall(r"`((?:tests/\S+/)?test_\w+\.py)`", text))
    assert len(named) > 8
    for name in named:
        assert list(ROOT.glob(name if "/" in name else f"tests/**/{name}")), name
