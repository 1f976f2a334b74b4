"""Whatever a configuration says, loading it ends in a `Config` or in problems."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.pipeline.config.load import Loader
from heliograph.pipeline.config.printing import as_json, as_yaml

ROOT = Path(__file__).parents[3]
SEEDS = [
    path.read_text()
    for folder in (Path(__file__).parent / "mistakes", ROOT / "examples")
    for path in sorted(folder.glob("*.yaml"))
]
BITS = [
    "{", "}", "[", "]", ":", ": ", "- ", "\n", "\n  ", "\t", "'", '"', "#", "&a ", "*a", "<<: ",
    "!!str ", "${env:X}", "${", "$$", "|", ">", "~", "null", "0", "-1", "1e999", ".nan", "5s",
    "true", "é", "\u2028", "\x00", "\ud800", "otlp", "batch", "traces", "/", "::", "%", "@", ",",
]  # fmt: skip


def end(text: str) -> None:
    """Load a configuration, and print it."""
    loader = Loader([f"yaml:{text}"])
    config = loader.config()
    assert (config is None) == bool(loader.problems)
    assert all(problem.message for problem in loader.problems)
    as_yaml(loader)
    as_json(loader)


def mutated(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 4)):
        at, to = sorted(chance.randint(0, len(text)) for _ in range(2))
        to = min(to, at + 30)
        text = chance.choice(
            [
                text[:at] + chance.choice(BITS) + text[at:],
                text[:at] + text[to:],
                text[:to] + text[at:],
                text[:at] + chance.choice(BITS) + text[to:],
            ]
        )
    return text


@pytest.mark.parametrize("seed", range(8))
def test_mutated_configurations(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        end(mutated(chance.choice(SEEDS), chance))


LETTERS = "abc:-[]{}'\"\n \t#&*!|>%@`,?$/0.1~<"


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from(LETTERS) | st.characters(), max_size=60))
def test_any_text(text: str) -> None:
    end(text)


short = st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | short,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(short, inner, max_size=3),
    max_leaves=5,
)
PATHS = [
    "receivers", "receivers.otlp", "receivers.otlp.protocols", "receivers.otlp.protocols.grpc",
    "receivers.otlp.protocols.grpc.endpoint", "receivers.otlp.protocols.http.cors",
    "processors.batch", "processors.batch.timeout", "processors.batch.metadata_keys",
    "exporters.debug", "exporters.debug.verbosity", "extensions", "extensions.basicauth",
    "service", "service.telemetry", "service.telemetry.metrics", "service.telemetry.logs.sampling",
    "service.telemetry.metrics.readers", "service.telemetry.resource", "service.extensions",
    "service.components", "service.pipelines", "service.pipelines.traces",
    "service.pipelines.traces.receivers", "connectors.forward",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PATHS), values)
def test_any_value_anywhere(path: str, value: object) -> None:
    base = (Path(__file__).parent / "mistakes" / "05_indentation.good.yaml").read_text()
    text = repr(value).replace("None", "null").replace("inf", ".inf").replace("nan", ".nan")
    loader = Loader([f"yaml:{base}"], [f"{path}={text}"])
    assert (loader.config() is None) == bool(loader.problems)
    as_yaml(loader)
    as_json(loader)
