"""Every configuration under ``examples/`` is valid as it stands, without a warning; but for the
founding example, which takes data from every interface."""

from pathlib import Path

import pytest

from heliograph.pipeline.config import load
from heliograph.pipeline.config.load import Loader
from heliograph.pipeline.config.printing import as_yaml

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = [
    path
    for path in sorted(EXAMPLES.rglob("*.yaml"))
    if any(line.startswith("service:") for line in path.read_text().splitlines())
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_example(path: Path) -> None:
    expected = ["grpc", "http"] if path.name == "otel-collector-config.yaml" else []
    assert [problem.path for problem in load([str(path)]).warnings] == [
        f"receivers.otlp.protocols.{protocol}.endpoint" for protocol in expected
    ]


def test_the_founding_example() -> None:
    config = load([str(EXAMPLES / "otel-collector-config.yaml")])
    assert [str(id) for id in config.pipelines] == ["metrics", "traces", "logs"]
    assert {str(id) for _, id in config.components} == {
        "otlp", "batch", "memory_limiter", "resource", "prometheus", "otlp/tempo", "loki",
    }  # fmt: skip


def test_what_print_config_shows_is_the_same_configuration() -> None:
    path = str(EXAMPLES / "otel-collector-config.yaml")
    loader = Loader([path])
    assert loader.config() is not None
    again = load([f"yaml:{as_yaml(loader)}"])
    first = load([path])
    assert {key: spec.config for key, spec in again.components.items()} == {
        key: spec.config for key, spec in first.components.items()
    }
