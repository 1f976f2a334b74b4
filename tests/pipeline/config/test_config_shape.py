# ruff: noqa: E501 - a case is a line
"""Values take the shape of a component's model, and each wrong one is explained."""

from typing import Any

import pytest
from configs import REST, loader, problems, receiver_of, receiver_problems, warnings
from parts.receiver import Colour, Grpc


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ("", "count", 1),
        ("{}", "timeout", 5.0),
        ("{count: 0b11}", "count", 3),
        ("{count: 5.0}", "count", 5),
        ("{count: }", "count", 1),
        ("{ratio: 1}", "ratio", 1.0),
        ("{enabled: no}", "enabled", False),
        ("{enabled: On}", "enabled", True),
        ("{name: yes}", "name", "yes"),
        ("{timeout: 200ms}", "timeout", 0.2),
        ("{timeout: 0}", "timeout", 0.0),
        ("{timeout: 1h30m}", "timeout", 5400.0),
        ("{colour: green}", "colour", Colour.GREEN),
        ("{topics: [a, b]}", "topics", ["a", "b"]),
        ("{ports: [1, 2]}", "ports", [1, 2]),
        ("{either: 5}", "either", 5),
        ("{either: x}", "either", "x"),
        ("{endpoints: x}", "endpoints", "x"),
        ("{endpoints: [x, y]}", "endpoints", ["x", "y"]),
        ("{labels: {a: b}}", "labels", {"a": "b"}),
        ("{protocols: {grpc: }}", "protocols.grpc", Grpc()),
        ("{protocols: }", "protocols.grpc", None),
        ("{protocols: {grpc: {max_size: 1KiB}}}", "protocols.grpc.max_size", 1024),
        ("{rules: [{key: a, value: 1}]}", "rules.0.value", 1),
        ("{rules: [{key: a, value: }]}", "rules.0.value", None),
    ],
)
def test_value(options: str, name: str, value: object) -> None:
    found: Any = receiver_of(options)
    for step in name.split("."):
        found = found[int(step)] if step.isdigit() else getattr(found, step)
    assert found == value
    assert type(found) is type(value)


def test_both_notations_of_headers() -> None:
    for options in ("{headers: {a: b}}", "{headers: [{name: a, value: b}]}"):
        headers = receiver_of(options).headers
        assert {key: value.get_secret_value() for key, value in headers.items()} == {"a": "b"}


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ('{name: "${TEXT}"}', "name", "0123"),
        ('{count: "${TEXT}", ratio: 0}', "count", None),
        ('{labels: {a: "${TEXT}"}}', "labels", {"a": "0123"}),
        ('{topics: ["${TEXT}"]}', "topics", ["0123"]),
        ('{name: "${NOTHING}"}', "name", None),
        ('{name: "${NOTHING:-}"}', "name", ""),
        ('{count: "${NOTHING}"}', "count", 1),
        ('{colour: "${COLOUR}"}', "colour", Colour.GREEN),
    ],
)
def test_expanded(options: str, name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT", "0123")
    monkeypatch.setenv("COLOUR", "green")
    monkeypatch.delenv("NOTHING", raising=False)
    if value is None and name == "count":
        assert receiver_problems(options) == [
            "count: is a whole number (from ${env:TEXT}), above the most that is allowed, 10 "
            "| use at most 10"
        ]
    else:
        assert getattr(receiver_of(options), name) == value


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{count: 0}", "count: is 0, below the least that is allowed, 1 | use at least 1"),
        ("{count: 11}", "count: is 11, above the most that is allowed, 10 | use at most 10"),
        ('{count: "5"}', "count: is the text '5', not a whole number | remove the quotes"),
        ("{count: many}", "count: is the text 'many', not a whole number"),
        ("{count: 1.5}", "count: is 1.5, not a whole number"),
        ("{count: true}", "count: is true, not a whole number"),
        ("{count: [1]}", "count: is a list, not a whole number"),
        ("{ratio: {}}", "ratio: is a map, not a number"),
        ("{enabled: 1}", "enabled: is 1, not true or false"),
        ("{enabled: ture}", "enabled: is the text 'ture', not true or false | did you mean true?"),
        ('{enabled: "true"}', "enabled: is the text 'true', not true or false | remove the quotes"),
        ("{name: 010}", 'name: is 010, not text | write it in quotes: "010"'),
        ("{name: true}", 'name: is true, not text | write it in quotes: "true"'),
        ("{timeout: 5}", "timeout: is 5 without a unit | write '5s' or '5ms'"),
        ("{timeout: -1s}", "timeout: is the text '-1s', below the least that is allowed, 0 | use at least 0"),
        ("{timeout: soon}", "timeout: is not a duration | write a number and a unit, such as 200ms, 5s or 1h30m"),
        ("{colour: gren}", "colour: is the text 'gren', not one of red, green | did you mean 'green'?"),
        ("{colour: 7}", "colour: is 7, not one of red, green"),
        ("{topics: {a: b}}", "topics: is a map, not a list"),
        ("{topics: [a, [b]]}", "topics[1]: is a list, not text"),
        ("{labels: [a]}", "labels: is a list, not a map"),
        ("{labels: {a: 1}}", 'labels.a: is 1, not text | write it in quotes: "1"'),
        ("{rules: [{key: ''}]}", "rules[0].key: is empty"),
        ("{rules: [{action: insert}]}", "rules[0].key: is missing; it has no default | write 'key': What to set."),
        ("{rules: [{key: a, action: inser}]}", "rules[0].action: is the text 'inser', not one of insert, update, delete | did you mean 'insert'?"),
        ("{protocols: {grpc: {max_size: 4MB2}}}", "protocols.grpc.max_size: is not a size | write bytes or a unit, such as 512KiB or 4MiB"),
        ("{protocols: {grpc: {endpoint: host}}}", "protocols.grpc.endpoint: has no port | write host:4317"),
        ("{protocols: 5}", "protocols: is a whole number, not a map"),
        ("{protocols: {grcp: }}", "protocols.grcp: is not an option here | did you mean 'grpc'?"),
        ("{endpoint: a}", "endpoint: is not an option here | did you mean 'endpoints'?"),
        ("{insecure: true}", "insecure: is not an option here | it stands under protocols.grpc.tls"),
        ("{count: 7, ratio: 0.7}", "ratio: is 0.7 with a count over 5 | use 0.5"),
        ("{either: [a]}", "either: is a list, not text or a whole number"),
    ],
)  # fmt: skip
def test_mistake(options: str, said: str) -> None:
    assert receiver_problems(options) == [said]


def test_places_are_those_of_values_and_of_unknown_keys() -> None:
    text = """
    receivers:
      in:
        count: 20
        protocols:
          grpc:
            tls:
              min_versoin: "1.3"
              min_version: 1.2
        rules:
          - action: insert
    exporters:
      out: {}
    service: {pipelines: {traces: {receivers: [in], exporters: [out]}}}
    """
    assert problems(text) == [
        "3:12: receivers.in.count: is 20, above the most that is allowed, 10 | use at most 10",
        "7:11: receivers.in.protocols.grpc.tls.min_versoin: is not an option here "
        "| did you mean 'min_version'?",
        "10:9: receivers.in.rules[0].key: is missing; it has no default "
        "| write 'key': What to set.",
        "12:3: exporters.out.endpoint: is missing; it has no default "
        "| write 'endpoint': Where to send.",
    ]


def test_a_misspelt_required_option_is_told_once() -> None:
    text = REST.replace("endpoint", "endpiont") + "receivers: {in: }"
    assert problems(text) == [
        "1:19: exporters.out.endpiont: is not an option here | did you mean 'endpoint'?"
    ]


def test_an_unknown_key_does_not_hide_what_a_component_checks() -> None:
    found = receiver_problems("{count: 7, ratio: 0.7, nmae: x}")
    assert found == [
        "ratio: is 0.7 with a count over 5 | use 0.5",
        "nmae: is not an option here | did you mean 'name'?",
    ]


@pytest.mark.parametrize(
    ("options", "topics"), [("{topics: a}", ["a"]), ('{topics: "a, b"}', ["a", "b"])]
)
def test_one_value_for_a_list_is_taken_with_a_warning(options: str, topics: list[str]) -> None:
    text = f"receivers: {{in: {options}}}{REST}"
    assert receiver_of(options).topics == topics
    assert any("where a list is meant | put it in [ ]" in warning for warning in warnings(text))


def test_a_deprecated_option_is_a_warning() -> None:
    assert warnings(f"receivers: {{in: {{old: 1}}}}{REST}") == [
        "1:18: receivers.in.old: is deprecated: use count"
    ]


SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "options",
    [
        f"{{api_key: {SECRET}, count: 99}}",
        f"{{api_key: [{SECRET}]}}",
        f"{{headers: {{authorization: [{SECRET}]}}}}",
        f"{{headers: {SECRET}}}",
        f"{{headers: [{{name: a, valeu: {SECRET}}}]}}",
        f"{{pasword: {SECRET}}}",
        f"{{api_key: {SECRET}, nmae: x}}",
    ],
)
def test_problems_never_repeat_a_secret(options: str) -> None:
    found = loader(f"receivers: {{in: {options}}}{REST}")
    assert found.problems
    assert SECRET not in repr((found.problems, found.warnings))


def test_what_a_component_says_about_a_secret_is_blackened() -> None:
    said = "api_key: ********** is too short | use ********************"
    assert receiver_problems("{api_key: abcde}") == [said]


def test_a_component_with_a_bug_is_told_like_any_other_problem() -> None:
    assert receiver_problems("{name: bug}") == [
        "cannot be checked: KeyError: 'a bug' | mend the component"
    ]


def test_values_from_expansions_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD_OF_SOMEBODY", SECRET)
    for option in ("count", "enabled", "colour", "ratio", "topics", "timeout", "rules", "either"):
        found = loader(f'receivers: {{in: {{{option}: "${{PASSWORD_OF_SOMEBODY}}"}}}}{REST}')
        assert SECRET not in repr((found.problems, found.warnings))
