"""Providers from variables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdk.test_alias import bare, isolated  # noqa: F401 - fixtures

SHOW = """
import json, sys
from heliograph.sdk.configuration import configure_from_environment
made = configure_from_environment(resource_attributes={"service.name": "given", "a": "b"})
attributes = made.tracer_provider.resource.attributes
print(json.dumps({
    "destinations": [str(one) for one in made.destinations],
    "named": [one.is_named for one in made.destinations],
    "service": attributes["service.name"],
    "a": attributes["a"],
    "heavy": sorted({"pydantic", "yaml", "ssl", "requests", "grpc"} & set(sys.modules)),
    "disabled": made.is_disabled,
}))
made.shutdown()
made.shutdown()
"""

OTLP = "otlp (localhost:4317)"

CASES: dict[str, tuple[dict[str, str], dict[str, object], list[str]]] = {
    "nothing": (
        {},
        {
            "destinations": [f"{signal} to {OTLP}" for signal in ("traces", "metrics", "logs")],
            "named": [False] * 3,
            "service": "given",
            "a": "b",
            "heavy": [],
            "disabled": False,
        },
        [],
    ),
    "the environment wins": ({"OTEL_SERVICE_NAME": "said"}, {"service": "said"}, []),
    "lists": (
        {"OTEL_TRACES_EXPORTER": "console, otlp", "OTEL_METRICS_EXPORTER": "none"},
        {
            "destinations": [
                "traces to console (stdout)",
                f"traces to {OTLP}",
                f"logs to {OTLP}",
            ],
            "named": [True, True, False],
        },
        [],
    ),
    "protocols": (
        {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc",
        },
        {
            "destinations": [
                "traces to otlp (http://localhost:4318/v1/traces)",
                "metrics to otlp (http://localhost:4318/v1/metrics)",
                f"logs to {OTLP}",
            ]
        },
        [],
    ),
    "disabled": ({"OTEL_SDK_DISABLED": "True"}, {"destinations": [], "disabled": True}, []),
    "empty is unset": (
        {"OTEL_TRACES_EXPORTER": "", "OTEL_SDK_DISABLED": "", "OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"named": [False] * 3, "disabled": False},
        [],
    ),
    "mistakes": (
        {
            "OTEL_TRACES_EXPORTER": "oltp,console",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http",
            "OTEL_SDK_DISABLED": "yes",
            "OTEL_LOG_LEVEL": "loud",
            "OTEL_PROPAGATORS": "tracecontext,smoke",
            "OTEL_PYTHON_ID_GENERATOR": "dice",
            "OTEL_PYTHON_TRACER_CONFIGURATOR": "odd",
            "OTEL_TRACES_SAMPLER": "sometimes",
        },
        {"destinations": ["traces to console (stdout)"], "disabled": False},
        [
            "OTEL_TRACES_EXPORTER: there is no 'oltp'",
            "OTEL_SDK_DISABLED is 'yes', not true or false; using false",
            "OTEL_LOG_LEVEL is 'loud', not one of none, fatal",
            "OTEL_PROPAGATORS: there is no propagator 'smoke'",
            "OTEL_PYTHON_ID_GENERATOR: there is no 'dice'",
            "OTEL_PYTHON_TRACER_CONFIGURATOR: there is no 'odd'",
            "OTEL_TRACES_SAMPLER",
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_made(case: str, bare: str) -> None:  # noqa: F811 - a fixture
    variables, expected, said = CASES[case]
    ended = isolated(SHOW, bare, **variables)
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)
    assert {key: shown[key] for key in expected} == expected
    lines = ended.stderr.splitlines()
    assert len(lines) == len(said), ended.stderr
    for wanted in said:
        assert sum(wanted in line for line in lines) == 1, ended.stderr


LOGGING = """
import logging, logging.config
from heliograph.sdk.configuration import configure_from_environment
made = configure_from_environment()
logging.basicConfig(format="basic %(message)s")
logging.warning("one")
logging.config.dictConfig({
    "version": 1,
    "root": {"handlers": ["h"]},
    "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f"}},
    "formatters": {"f": {"format": "dict %(message)s"}},
})
logging.warning("two")
quiet = logging.getLogger("quiet")
quiet.propagate = False
quiet.addHandler(logging.NullHandler())
quiet.warning("three")
made.shutdown()
logging.warning("four")
"""


def test_the_programs_logging_stays_as_it_is(bare: str, tmp_path: Path) -> None:  # noqa: F811
    ended = isolated(
        LOGGING,
        bare,
        OTEL_LOGS_EXPORTER="console",
        OTEL_TRACES_EXPORTER="none",
        OTEL_METRICS_EXPORTER="none",
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines() == ["basic one", "dict two", "dict four"]
    bodies = [word for word in ("one", "two", "three", "four") if f'"{word}"' in ended.stdout]
    assert bodies == ["one", "two", "three"]


DISTRO = """
from heliograph.sdk._configuration import _BaseConfigurator, _OTelSDKConfigurator
from heliograph.sdk import install_aliases
install_aliases()
from opentelemetry.sdk._configuration import _initialize_components as init, _get_exporter_names
from opentelemetry import trace

class Configurator(_OTelSDKConfigurator):
    def _configure(self, **kwargs):
        super()._configure(trace_exporter_names=["console"], **kwargs)

assert Configurator() is Configurator()
Configurator().configure(auto_instrumentation_version="1", resource_attributes={"a": "b"})
assert trace.get_tracer_provider().resource.attributes["telemetry.auto.version"] == "1"
with trace.get_tracer("t").start_as_current_span("span"):
    pass
trace.get_tracer_provider().force_flush()
try:
    init(trace_exporter_names=["oltp"])
except RuntimeError as error:
    print(error)
"""


def test_distributions_configure_as_with_the_official_sdk(bare: str) -> None:  # noqa: F811
    ended = isolated(DISTRO, bare)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert '"name": "span"' in ended.stdout
    assert "Requested component 'oltp' not found" in ended.stdout
