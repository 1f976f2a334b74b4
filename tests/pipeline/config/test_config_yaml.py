"""YAML is read as go-yaml reads it, with places, and mistakes are explained."""

import math

import pytest

from heliograph.errors import ConfigError
from heliograph.pipeline.config import yaml_source
from heliograph.pipeline.config.yaml_source import Mapping, Scalar, plain, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("true", True), ("False", False), ("TRUE", True), ("tRUE", "tRUE"),
        ("~", None), ("null", None), ("", None), ("NULL", None), ("nULL", "nULL"),
        ("12", 12), ("-12", -12), ("+3", 3), ("0777", 511), ("0o17", 15), ("0x1F", 31),
        ("0b11", 3), ("1_000", 1000), ("0", 0), ("08", 8.0), ("1:30", "1:30"),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1.", 1.0), (".inf", math.inf),
        ("-.INF", -math.inf), ("1.2.3", "1.2.3"), ("0.0.0.0:4317", "0.0.0.0:4317"),
        ("2001-01-01", "2001-01-01"), ("5s", "5s"), ("'12'", "12"), ('"on"', "on"),
        ("!!str 12", "12"), ("!!int '12'", 12), ("!!float 1", 1),
    ],
)  # fmt: skip
def test_scalar(text: str, value: object) -> None:
    node = read(f"a: {text}", "c.yaml")
    assert plain(node) == {"a": value}
    assert type(plain(node)["a"]) is type(value)


def test_nan() -> None:
    assert math.isnan(plain(read("a: .NaN", "c.yaml"))["a"])


def test_places_of_keys_and_values() -> None:
    node = read("a:\n  b: [1, é, x]\n  c:   2\n", "c.yaml")
    assert isinstance(node, Mapping)
    assert str(node.entries["a"].place) == "c.yaml:1:1"
    inner = node.entries["a"].node
    assert isinstance(inner, Mapping)
    assert str(inner.entries["b"].place) == "c.yaml:2:3"
    assert str(inner.entries["c"].node.place) == "c.yaml:3:8"
    items = inner.entries["b"].node
    assert isinstance(items, yaml_source.Sequence)
    assert [str(item.place) for item in items.items] == ["c.yaml:2:7", "c.yaml:2:10", "c.yaml:2:13"]


def test_keys_are_text() -> None:
    assert plain(read("{1: a, true: b, null: c}", "c.yaml")) == {"1": "a", "true": "b", "null": "c"}


def test_anchors_and_merge_keys() -> None:
    text = """
base: &base {x: 1, y: 2}
more: &more {y: 3, z: 4}
one: {<<: *base, y: 9}
two: {<<: [*base, *more]}
"""
    found = plain(read(text, "c.yaml"))
    assert found["one"] == {"x": 1, "y": 9}
    assert found["two"] == {"x": 1, "y": 2, "z": 4}


def test_empty_is_null_and_a_byte_order_mark_is_nothing() -> None:
    assert read("", "c.yaml") == Scalar(None, "", read("", "c.yaml").place)
    assert plain(read("# only a comment\n", "c.yaml")) is None
    assert plain(read("\ufeffa: 1", "c.yaml")) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n\tb: 1", "2:1: has a tab where YAML wants spaces"),
        ("a: {b: ${env:X}}", "1:9: has ${…} without quotes inside { } or [ ]"),
        ("a: [1, 2", "1:4: has a '[' or '{' that is not closed"),
        ("a: 'x", "1:4: opens a quote that nothing closes"),
        ("a: @x", "1:4: has a value that begins with '@'"),
        ("a: b: c", "1:5: has a second ': ' in one line"),
        ("a:\n  b: 1\n c: 2", "3:2: is not indented as the lines above"),
        ("a: *b", "1:4: names an anchor (what begins with '*') that no line above defines"),
        ("a: &a [*a]", "1:8: is the anchor 'a' inside itself"),
        ("a: 1\n---\nb: 2", "2:1: begins a second document"),
        ("a: \x00", "1:4: has the character U+0000"),
        ("a: \udce9", "1:4: has the character U+DCE9"),
        ("[" * 200, "1:102: is nested more than 100 levels deep"),
        ("a: !!int x", "1:4: has a tag (what begins with '!') that does not fit"),
        ("a: !include x", "1:4: has a tag (what begins with '!') that does not fit"),
        ("? [a]\n: 1", "1:3: is a key that is a list or a map"),
        ("a: {<<: 1}", "1:5: merges what is not a map"),
        ("%FOO", "is not YAML"),
    ],
)
def test_mistake(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text, "c.yaml")
    assert said in str(caught.value)


def test_every_repeated_key_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        read("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", "c.yaml")
    assert [str(problem) for problem in caught.value.problems] == [
        "c.yaml:4:3: 'c' stands here twice; first in line 3\n    fix: keep one of the two",
        "c.yaml:5:1: 'a' stands here twice; first in line 1\n    fix: keep one of the two",
    ]


def test_aliases_cannot_grow_without_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(ConfigError, match="more than 100000 values, aliases counted in full"):
        read("\n".join(lines), "c.yaml")
