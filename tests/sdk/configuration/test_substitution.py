"""What stands for variables in a declarative file, and what scalars mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heliograph.sdk.configuration._yaml import ConfigurationError, read

VARIABLES = {
    "STRING_VALUE": "value",
    "BOOL_VALUE": "true",
    "INT_VALUE": "1",
    "FLOAT_VALUE": "1.1",
    "HEX_VALUE": "0xdeadbeef",
    "INVALID_MAP_VALUE": "value\nkey:value",
    "DO_NOT_REPLACE_ME": "Never use this value",
    "REPLACE_ME": "${DO_NOT_REPLACE_ME}",
    "VALUE_WITH_ESCAPE": "value$$",
    "EMPTY": "",
}

# The table of "Environment variable substitution" in the specification, and more of each kind.
SUBSTITUTED: list[tuple[str, Any]] = [
    ("${STRING_VALUE}", "value"),
    ("${BOOL_VALUE}", True),
    ("${INT_VALUE}", 1),
    ("${FLOAT_VALUE}", 1.1),
    ("${HEX_VALUE}", 3735928559),
    ('"${STRING_VALUE}"', "value"),
    ('"${BOOL_VALUE}"', "true"),
    ("'${INT_VALUE}'", "1"),
    ('"${FLOAT_VALUE}"', "1.1"),
    ('"${HEX_VALUE}"', "0xdeadbeef"),
    ("${env:STRING_VALUE}", "value"),
    ("${INVALID_MAP_VALUE}", "value\nkey:value"),
    ("foo ${STRING_VALUE} ${FLOAT_VALUE}", "foo value 1.1"),
    ("${UNDEFINED_KEY}", None),
    ('"${UNDEFINED_KEY}"', ""),
    ("${EMPTY:-fallback}", "fallback"),
    ("${UNDEFINED_KEY:-fallback}", "fallback"),
    ("${UNDEFINED_KEY:-}", None),
    ("${REPLACE_ME}", "${DO_NOT_REPLACE_ME}"),
    ("${UNDEFINED_KEY:-${STRING_VALUE}}", "${STRING_VALUE}"),
    ("$${STRING_VALUE}", "${STRING_VALUE}"),
    ("$$${STRING_VALUE}", "$value"),
    ("$$$${STRING_VALUE}", "$${STRING_VALUE}"),
    ("$${STRING_VALUE:-fallback}", "${STRING_VALUE:-fallback}"),
    ("$${STRING_VALUE:-${STRING_VALUE}}", "${STRING_VALUE:-value}"),
    ("${UNDEFINED_KEY:-$${UNDEFINED_KEY}}", "${UNDEFINED_KEY:-${UNDEFINED_KEY}}"),
    ("${VALUE_WITH_ESCAPE}", "value$$"),
    ("a $$ b", "a $ b"),
    ("a $ b", "a $ b"),
]

SCALARS: list[tuple[str, Any]] = [
    ("yes", "yes"),
    ("on", "on"),
    ("TRUE", True),
    ("~", None),
    ("", None),
    ("012", 12),
    ("0o17", 15),
    ("+3", 3),
    ("1_000", "1_000"),
    ("12:30", "12:30"),
    ("2026-01-02", "2026-01-02"),
    (".5", 0.5),
    ("1e3", 1000.0),
    (".inf", float("inf")),
    ("1.0.0", "1.0.0"),
    ("|\n    two\n    lines", "two\nlines\n"),
]


def value_of(text: str, path: Path) -> Any:
    path.write_text(f"key: {text}\n")
    item, source = read(str(path))
    found = item.plain()["key"]
    source.check()
    return found


@pytest.mark.parametrize(("text", "expected"), SUBSTITUTED)
def test_variables_are_put_in(
    text: str, expected: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    found = value_of(text, tmp_path / "sdk.yaml")
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(("text", "expected"), SCALARS)
def test_scalars_are_those_of_the_core_schema(text: str, expected: object, tmp_path: Path) -> None:
    found = value_of(text, tmp_path / "sdk.yaml")
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("text", ["${STRING_VALUE:?error}", "${1A}", "${A_$B}", "${}", "${sys:a}"])
def test_what_is_no_reference_is_said_with_its_place(text: str, tmp_path: Path) -> None:
    path = tmp_path / "sdk.yaml"
    with pytest.raises(ConfigurationError) as raised:
        value_of(text, path)
    assert str(raised.value).startswith(f"{path}:1:6: key: {text} is no reference\n    fix: ")


def test_keys_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRING_VALUE", "value")
    path = tmp_path / "sdk.yaml"
    path.write_text("${STRING_VALUE}: value\n")
    assert read(str(path))[0].plain() == {"${STRING_VALUE}": "value"}


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [1, 2\nb: 3\n", ":2:2: is no YAML"), ("a: 'b", ":1:6: is no YAML"), ("a: *b", ":1:4:")],
)
def test_broken_yaml_has_a_place(text: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "sdk.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        read(str(path))
    assert place in str(raised.value)
    assert "\n" not in str(raised.value)
