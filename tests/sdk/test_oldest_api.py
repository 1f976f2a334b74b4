"""What pyproject.toml promises of opentelemetry-api is what is tested."""

from __future__ import annotations

from sdk.oldest import PINNED, oldest


def test_the_bound_is_the_version_that_make_api_installs() -> None:
    assert f"opentelemetry-api=={oldest()} " in PINNED.read_text()
