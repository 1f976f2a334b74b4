"""Resources: what is found, what wins, and what a fork changes."""

from __future__ import annotations

import os

import pytest

from heliograph.sdk.resources import (
    OTELResourceDetector,
    ProcessResourceDetector,
    Resource,
)
from heliograph.sdk.resources._gather import process_dependent


def test_the_environment_and_then_the_program_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "service.name=ignored, a = x%20y ,,b=2"
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", text)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    found = Resource.create({"b": 3}).attributes
    assert (found["service.name"], found["a"], found["b"]) == ("shop", "x y", 3)
    assert found["telemetry.sdk.language"] == "python"
    assert found["service.instance.id"] == Resource.create().attributes["service.instance.id"]


@pytest.mark.parametrize("text", ["a=1,broken", "a=1,=2", "a=%ff"])
def test_a_mistake_discards_all_of_the_variable(
    text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", text)
    assert dict(OTELResourceDetector().detect().attributes) == {}
    assert f"OTEL_RESOURCE_ATTRIBUTES is {text!r}" in caplog.text


def test_a_service_without_a_name_is_called_by_its_executable() -> None:
    assert str(Resource.create().attributes["service.name"]).startswith("unknown_service:")


def test_merging_prefers_the_other_and_keeps_one_schema(caplog: pytest.LogCaptureFixture) -> None:
    one = Resource({"a": 1, "b": 1}, "https://one")
    both = one.merge(Resource({"b": 2}))
    assert (dict(both.attributes), both.schema_url) == ({"a": 1, "b": 2}, "https://one")
    assert both == Resource({"a": 1, "b": 2}, "https://one")
    assert hash(both) == hash(Resource({"b": 2, "a": 1}, "https://one"))
    other = one.merge(Resource({"c": 3}, "https://other"))
    assert (dict(other.attributes), other.schema_url) == ({"a": 1, "b": 1, "c": 3}, "")
    assert "https://other" in caplog.text
    chosen = Resource.create({"a": 1}, "https://one")
    assert (chosen.schema_url, chosen.attributes["a"]) == ("https://one", 1)


def test_a_child_changes_only_what_was_made_up() -> None:
    chosen = Resource({"service.instance.id": "mine", "process.pid": 1})
    assert dict(process_dependent(chosen).attributes) == {"process.pid": os.getpid()}
    made_up = process_dependent(Resource.create()).attributes
    assert set(made_up) == {"service.instance.id"}


def test_arguments_are_told_only_when_asked_for() -> None:
    assert "process.command_args" not in ProcessResourceDetector().detect().attributes
    asked = ProcessResourceDetector(include_command_args=True).detect().attributes
    assert asked["process.command_args"]
    assert dict(OTELResourceDetector().detect().attributes) == {}
