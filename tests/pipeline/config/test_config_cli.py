"""The commands: what they print, where, and how they end."""

import json
from pathlib import Path

import pytest

from heliograph.cli import main

CONFIG = """
receivers: {otlp: {protocols: {grpc: }}}
exporters: {debug: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return "config.yaml"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_without_command(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys)
    assert (status, out) == (2, "")
    assert "collector" in err


@pytest.mark.parametrize("command", [(), ("collector",)])
def test_version(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, *command, "--version")
    assert status == 0
    assert out.startswith("heliograph 0.")


@pytest.mark.parametrize("command", [(), ("validate",), ("print-config",)])
def test_a_configuration_is_needed(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "collector", *command)
    assert (status, out) == (2, "")
    assert err == "heliograph: no configuration; name one with --config FILE\n"


def test_validate(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, "collector", "validate", "--config", config)
    assert found == (0, "valid: 1 pipeline (traces)\n", "")


def test_options_count_before_and_behind_the_command(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(
        capsys, "collector", "--config", config, "--set", "exporters.debug.verbosity=x",
        "validate", "--config=yaml:receivers::otlp::protocols::grpc::endpont: a", "--set=a=1",
    )  # fmt: skip
    assert found == (
        1,
        "",
        "--config yaml:1:1: receivers.otlp.protocols.grpc.endpont: is not an option here\n"
        "    fix: did you mean 'endpoint'?\n"
        "--set a: a: is not a section of a configuration\n"
        "    fix: use one of receivers, processors, connectors, exporters, extensions, service\n"
        "--set exporters.debug.verbosity: exporters.debug.verbosity: is the text 'x', "
        "not one of basic, normal, detailed\n"
        "heliograph: 3 errors\n",
    )


def test_the_collector_does_not_start_with_errors(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "collector", "--config", config, "--set", "service.pipelines=")
    assert (status, out) == (1, "")
    assert err.startswith("--set service.pipelines: service.pipelines: has no pipeline")


def test_the_collector_runs(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def fake(config: object, **options: bool) -> int:
        seen.append(options)
        return 3

    monkeypatch.setattr("heliograph.pipeline.run.run", fake)
    assert run(capsys, "collector", "--config", config) == (3, "", "")
    assert run(capsys, "collector", "--config", config, "--watch") == (3, "", "")
    assert seen == [{"watch": False}, {"watch": True}]


@pytest.mark.parametrize("command", ["print-config", "print-initial-config"])
def test_print_config(command: str, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "collector", command, "--config", config)
    assert (status, err) == (0, "")
    assert out.splitlines()[:4] == [
        "receivers:",
        "  otlp:",
        "    protocols:",
        "      grpc:  # config.yaml:2:38",
    ]
    status, out, err = run(capsys, "collector", command, "--config", config, "--format", "json")
    assert json.loads(out)["config"]["exporters"] == {"debug": None}


def test_print_config_of_a_wrong_configuration(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ("--config", config, "--set", "exporters.debug.x=1")
    status, out, err = run(capsys, "collector", "print-config", *wrong)
    assert (status, out) == (1, "")
    assert "is not an option here" in err
    status, out, err = run(capsys, "collector", "print-config", "--no-validate", *wrong)
    assert (status, err) == (0, "")
    assert "    x: '**********'  # --set exporters.debug.x" in out


def test_print_config_of_what_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(
        capsys, "collector", "print-config", "--no-validate", "--config", "/no/such/file.yaml"
    )
    assert (status, out) == (1, "")
    assert "no such file" in err


def test_components(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "collector", "components")
    assert status == 0
    assert "  otlp " in out.partition("processors")[0]
    status, out, _ = run(capsys, "collector", "components", "--json")
    rows = {(row["kind"], row["type"]): row for row in json.loads(out)}
    assert rows["receivers", "otlp"]["signals"] == ["traces", "metrics", "logs", "profiles"]
    assert all(row["doc"] and row["stability"] for row in rows.values())


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "collector", "schema")
    assert status == 0
    assert "receivers.otlp" in json.loads(out)["$defs"]


def test_feature_gates(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "collector", "featuregate")
    assert status == 0
    assert len(out.splitlines()) == 2
    status, out, _ = run(capsys, "collector", "featuregate", "service.profilesSupport")
    assert out == "  service.profilesSupport  on  stable  Pipelines may carry profiles.\n"
    status, out, err = run(capsys, "collector", "featuregate", "nothing")
    assert (status, out, err) == (1, "", "heliograph: there is no feature gate 'nothing'\n")
