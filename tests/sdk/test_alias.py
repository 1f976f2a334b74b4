"""`install_aliases`: official names where the official packages are not, and beside them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import opentelemetry.context
import pytest
from exporters.backends import GrpcBackend

import heliograph
from sdk.programs import names, run
from sdk.test_life_and_death import TUTORIAL

API = ("_logs", "attributes", "baggage", "context", "environment_variables", "metrics")
API += ("propagate", "propagators", "trace", "util", "version", "py.typed")


@pytest.fixture
def backend() -> Iterator[GrpcBackend]:
    backend = GrpcBackend()
    yield backend
    backend.stop()


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """A path on which there is the API, and neither the official SDK nor grpcio nor protobuf."""
    installed = Path(opentelemetry.context.__file__).parents[1]
    (tmp_path / "opentelemetry").mkdir()
    for name in API:
        (tmp_path / "opentelemetry" / name).symlink_to(installed / name)
    site = installed.parent
    (tmp_path / "typing_extensions.py").symlink_to(site / "typing_extensions.py")
    for package in ("opentelemetry-api", "heliograph"):
        info = Path(str(distribution(package)._path))  # type: ignore[attr-defined]
        (tmp_path / info.name).symlink_to(info)
    (tmp_path / "heliograph").symlink_to(Path(heliograph.__file__).parent)
    return str(tmp_path)


def isolated(program: str, path: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", "-W", "error", "-c", program],
        env={"PYTHONPATH": path, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_tutorial_runs_as_it_stands_without_the_official_packages(
    backend: GrpcBackend, bare: str
) -> None:
    program = "import heliograph.sdk; heliograph.sdk.install_aliases()\n" + TUTORIAL
    program += "import sys; assert not {'grpc', 'google.protobuf', 'polars'} & set(sys.modules)"
    endpoint = f"http://127.0.0.1:{backend.port}"
    ended = isolated(program, bare, ENDPOINT=endpoint)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert names(backend.received) == ["hello"]


def test_aliases_are_the_same_modules(bare: str) -> None:
    program = """
import heliograph.sdk
heliograph.sdk.install_aliases()
import opentelemetry.sdk.trace.export
import opentelemetry.sdk.trace as alias
import heliograph.sdk.trace as ours
import heliograph.sdk.trace.export
assert alias is ours
assert opentelemetry.sdk.trace.export is heliograph.sdk.trace.export
import opentelemetry.exporter.otlp.json.http as json_http
import opentelemetry.exporter.otlp.json.file as json_file
import opentelemetry.exporter.otlp.json.http._log_exporter
import opentelemetry.exporter.otlp.json.file._log_exporter as json_lines
from heliograph.sdk.exporter.otlp.json.file._log_exporter import FileLogExporter
assert json_http.OTLPSpanExporter.__module__.startswith("heliograph.sdk.exporter.otlp.json")
assert json_file.FileMetricExporter and json_lines.FileLogExporter is FileLogExporter
assert ours.__name__ == "heliograph.sdk.trace" == ours.__spec__.name
try:
    import opentelemetry.sdk.nothing
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("found nothing")
"""
    ended = isolated(program, bare)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_installed_sdk_is_left_alone_unless_it_is_replaced(backend: GrpcBackend) -> None:
    program = """
from heliograph.sdk import install_aliases
install_aliases(replace={replace})
import opentelemetry.sdk.trace
import opentelemetry.sdk.trace.export
import heliograph.sdk.trace
assert (opentelemetry.sdk.trace is heliograph.sdk.trace) is {replace}
"""
    for replace in (False, True):
        ended = run(program.format(replace=replace), backend.port, setup="")
        assert (ended.returncode, ended.stderr) == (0, "")


def test_what_others_put_into_the_namespaces_stays_when_the_sdk_is_replaced(
    backend: GrpcBackend, tmp_path: Path
) -> None:
    extension = tmp_path / "opentelemetry" / "sdk" / "extension" / "cloud"
    extension.mkdir(parents=True)
    (extension / "__init__.py").write_text("from opentelemetry.sdk.trace import TracerProvider")
    (extension / "detector.py").write_text("from opentelemetry.sdk.resources import Resource")
    program = """
from heliograph.sdk import install_aliases
install_aliases(replace=True)
import opentelemetry.sdk.extension.cloud
from opentelemetry.sdk.extension.cloud import detector
import heliograph.sdk.trace, heliograph.sdk.resources
assert opentelemetry.sdk.extension.cloud.TracerProvider is heliograph.sdk.trace.TracerProvider
assert detector.Resource is heliograph.sdk.resources.Resource
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
assert OTLPSpanExporter.__module__.startswith("heliograph.")
import opentelemetry.exporter.otlp.proto.common.trace_encoder as common
assert "heliograph" not in common.__file__.split("opentelemetry")[-1]
try:
    import opentelemetry.sdk.trace._sampling_of_the_official_sdk
    raise SystemExit("found what nobody has")
except ModuleNotFoundError:
    pass
try:
    import opentelemetry.sdk.metrics._internal.metric_reader_storage
    raise SystemExit("found a part of the official SDK inside ours")
except ModuleNotFoundError:
    pass
"""
    ended = run(program, backend.port, setup="", PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
