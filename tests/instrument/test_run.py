"""`heliograph run`, as real processes; papercuts by their numbers in the reference."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.instrument._variables import flags
from heliograph.instrument.launcher import _listens, parse
from instrument.conftest import HELIOGRAPH, HERE, Backend, attributes, clean_environment, run

PYTHON = sys.executable
FORBIDDEN = ["ssl", "socket", "requests", "concurrent.futures", "pydantic", "yaml", "argparse",
             "heliograph.cli", "opentelemetry.trace", "asyncio", "heliograph._core"]  # fmt: skip


def test_tutorial_snippet_arrives_once(backend: Backend) -> None:
    done = run("--replace-sdk", PYTHON, str(HERE / "apps" / "tutorial.py"), TARGET=backend.endpoint)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "heliograph.sdk.trace._provider\n"
    backend.wait("metrics")
    assert [span["name"] for span in backend.wait("spans")] == ["step"]
    assert [metric["name"] for metric in backend.items("metrics")] == ["steps"]


def test_flags_in_both_spellings_reach_the_resource(backend: Backend) -> None:
    code = "from opentelemetry import trace; trace.get_tracer('t').start_span('s').end()"
    for flag in ("--service-name", "--service_name"):
        done = run(
            flag, f"by{flag}", f"--exporter_otlp_endpoint={backend.endpoint}", PYTHON, "-c", code
        )
        assert (done.returncode, done.stderr) == (0, "")
    spans = backend.wait("spans", lambda found: len(found) == 2)
    assert [span["resource"]["service.name"] for span in spans] == [
        "by--service-name",
        "by--service_name",
    ]


@pytest.mark.parametrize(("flag", "variable"), sorted(flags().items()))
def test_every_flag_in_both_spellings(flag: str, variable: str) -> None:
    for spelt in (flag, flag.replace("_", "-")):
        for given in ([f"--{spelt}", "a=b"], [f"--{spelt}=a=b"]):
            found = parse([*given, "python", "--service-name", "x"])
            assert found == ({variable: "a=b"}, ["python", "--service-name", "x"])


def test_p2_console_logs_stay(backend: Backend) -> None:
    code = (
        "import logging; logging.getLogger().warning('early'); logging.basicConfig(level='INFO')\n"
        "logging.getLogger('app').info('configured'); logging.getLogger('quiet').debug('no')"
    )
    ours = run("--exporter-otlp-endpoint", backend.endpoint, PYTHON, "-c", code)
    plain = subprocess.run(
        [PYTHON, "-c", code], capture_output=True, text=True, check=True, env=clean_environment()
    )
    assert ours.stderr == plain.stderr
    records = backend.wait("logs", lambda found: len(found) == 2)
    assert [record["body"]["stringValue"] for record in records] == ["early", "configured"]


@pytest.mark.parametrize("disabled", ["logging", "*"])
def test_logs_are_not_taken_where_contribs_name_for_it_is_disabled(
    backend: Backend, disabled: str
) -> None:
    code = (
        "import logging; from opentelemetry import trace; logging.warning('mine')\n"
        "trace.get_tracer('t').start_span('s').end()"
    )
    variable = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": disabled}
    done = run("--exporter-otlp-endpoint", backend.endpoint, PYTHON, "-c", code, **variable)
    assert (done.returncode, done.stderr) == (0, "WARNING:root:mine\n")
    backend.wait("spans")
    assert backend.items("logs") == []


def test_p3_nothing_to_send_to_is_one_line_and_a_quick_end() -> None:
    with socket.socket() as probe:
        if not probe.connect_ex(("127.0.0.1", 4317)):
            pytest.skip("somebody listens on 4317")
    code = (
        "import atexit, time; ended = []\n"
        "atexit.register(lambda: print(time.monotonic() - ended[0]))\n"
        "from opentelemetry import trace; trace.get_tracer('t').start_span('s').end()\n"
        "ended.append(time.monotonic())"
    )
    done = run(PYTHON, "-c", code)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert "sends nothing" in done.stderr
    assert float(done.stdout) < 5


def test_p4_sigterm_flushes_and_ends_as_the_signal_does(backend: Backend) -> None:
    code = (
        "import time\nfrom opentelemetry import trace\n"
        "trace.get_tracer('t').start_span('s').end()\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen(
        [*HELIOGRAPH, "run", PYTHON, "-c", code],
        env=clean_environment(OTEL_EXPORTER_OTLP_ENDPOINT=backend.endpoint),
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == -signal.SIGTERM
    assert [span["name"] for span in backend.wait("spans")] == ["s"]


def test_p15_p16_stable_names_and_a_resource_that_says_where(backend: Backend) -> None:
    code = (
        "import os\nfrom opentelemetry import trace\n"
        "span = trace.get_tracer('t').start_span(os.environ['OTEL_SEMCONV_STABILITY_OPT_IN'])\n"
        "span.set_attribute('pid', os.getpid()); span.end()"
    )
    assert run("--exporter-otlp-endpoint", backend.endpoint, PYTHON, "-c", code).returncode == 0
    span = backend.wait("spans")[0]
    assert span["name"] == "http,database"
    assert span["resource"]["host.name"] == socket.gethostname()
    assert span["resource"]["process.pid"] == attributes(span)["pid"]


@pytest.mark.parametrize(
    ("command", "status", "line"),
    [
        (["nosuchcmd"], 127, "heliograph run: command not found: nosuchcmd"),
        (["--service-nam", "x", "python"], 2,
         "heliograph run: there is no flag --service-nam; did you mean --service-name?"),
        (["--service-name"], 2, "heliograph run: --service-name needs a value"),
        ([], 2, "heliograph run: no command; try: heliograph run python app.py"),
    ],
)  # fmt: skip
def test_p17_a_wrong_command_is_one_line(command: list[str], status: int, line: str) -> None:
    done = run(*command)
    assert (done.returncode, done.stderr) == (status, line + "\n")


def test_any_part_of_the_api_may_be_imported_first(backend: Backend) -> None:
    code = (
        "from opentelemetry import _logs\nfrom opentelemetry import trace, metrics\n"
        "trace.get_tracer('t').start_span('s').end(); _logs.get_logger('l').emit(body='said')"
    )
    done = run("--exporter-otlp-endpoint", backend.endpoint, PYTHON, "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert [span["name"] for span in backend.wait("spans")] == ["s"]
    assert len(backend.wait("logs")) == 1


@pytest.mark.parametrize(
    "first",
    [
        "import opentelemetry.sdk.metrics.export",
        "from heliograph.sdk.trace.export import SpanExporter",
        "import opentelemetry.sdk._logs",
        "import opentelemetry.sdk.resources",
    ],
)
def test_any_part_of_the_sdk_may_be_imported_first(backend: Backend, first: str) -> None:
    code = (
        f"{first}\nfrom opentelemetry import trace, metrics\n"
        "metrics.get_meter('m').create_counter('counted').add(1)\n"
        "trace.get_tracer('t').start_span('s').end()"
    )
    done = run("--replace-sdk", "--exporter-otlp-endpoint", backend.endpoint, PYTHON, "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert [span["name"] for span in backend.wait("spans")] == ["s"]
    assert [metric["name"] for metric in backend.wait("metrics")] == ["counted"]


def test_without_the_native_core_the_program_runs_and_one_line_says_why() -> None:
    code = (
        "import sys; sys.modules['heliograph._core'] = None\n"
        "import logging, sqlite3; logging.warning('mine')\n"
        "from opentelemetry import trace; sqlite3.connect(':memory:').execute('select 1')\n"
        "with trace.get_tracer('t').start_as_current_span('s') as span: print(span.is_recording())"
    )
    done = run("--exporter-otlp-endpoint", "http://127.0.0.1:9", PYTHON, "-c", code)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    ours = [line for line in done.stderr.splitlines() if "heliograph" in line]
    assert len(ours) == 1
    assert ours[0].startswith("heliograph: not instrumented: the native core cannot be loaded: ")
    assert "WARNING:root:mine" in done.stderr


def test_a_sub_interpreter_runs_uninstrumented() -> None:
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    pytest.importorskip(name)
    inside = (
        "import logging; logging.warning('mine')\nfrom opentelemetry import trace\n"
        "print(trace.get_tracer('t').start_span('s').is_recording())"
    )
    code = f"import {name} as found; found.run_string(found.create(), {inside!r})"
    done = run("--exporter-otlp-endpoint", "http://127.0.0.1:9", PYTHON, "-c", code)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    assert "cannot be loaded: this is a sub-interpreter" in done.stderr


def test_before_the_program_nothing_heavy_is_imported_and_no_thread_runs() -> None:
    code = (
        "import json, sys; names = sorted(sys.modules); import threading\n"
        "print(json.dumps([names, threading.active_count(), len(sys.path)]))"
    )
    done = run("--exporter-otlp-endpoint", "http://127.0.0.1:9", PYTHON, "-c", code)
    names, threads, _ = json.loads(done.stdout)
    assert [name for name in names if name in FORBIDDEN] == []
    assert threads == 1


def test_children_and_an_existing_sitecustomize_run_too(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('theirs')\n")
    child = "import sys; print('heliograph.instrument.start' in sys.modules)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    done = run(
        "--exporter-otlp-endpoint",
        "http://127.0.0.1:9",
        PYTHON,
        "-c",
        code,
        PYTHONPATH=str(tmp_path),
    )
    assert done.stdout == "theirs\n" * 3 + "True\n", done.stderr


def test_a_library_is_instrumented_before_the_importing_statement_binds(backend: Backend) -> None:
    code = (
        "from sqlite3 import connect\nwith connect(':memory:') as c: c.execute('select 1')\n"
        "import sys; assert 'flask' not in sys.modules"
    )
    done = run("--exporter-otlp-endpoint", backend.endpoint, PYTHON, "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(backend.wait("spans")) == 1


def test_disabled_costs_nothing() -> None:
    code = (
        "import sqlite3, logging, sys\n"
        "print([name for name in sys.modules if name.startswith(('heliograph', 'opentel'))])"
    )
    done = run(PYTHON, "-c", code, OTEL_SDK_DISABLED="true")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_disabled_a_program_of_the_sdk_still_runs() -> None:
    code = "from opentelemetry.sdk.trace import TracerProvider; print(TracerProvider.__module__)"
    done = run("--replace-sdk", PYTHON, "-c", code, OTEL_SDK_DISABLED="true")
    assert (done.stdout, done.stderr) == ("heliograph.sdk.trace._provider\n", "")


def imported(*command: str, **variables: str) -> set[str]:
    """Return the modules that `-X importtime` names."""
    done = subprocess.run(
        command, env=clean_environment(**variables), capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if "import time:" in line}


def test_starting_imports_little() -> None:
    """What it takes is `benchmarks/startup.py`'s to say."""
    program = (PYTHON, "-X", "importtime", "-c", "pass")
    plain = imported(*program)
    child = imported(*HELIOGRAPH, "run", *program, OTEL_TRACES_EXPORTER="none") - plain
    assert len(child) <= 20
    assert child.isdisjoint(
        {"re", "typing", "threading", "functools", "collections", "importlib.util"}
    )
    command = (PYTHON, "-X", "importtime", *HELIOGRAPH, "run", "/bin/true")
    heavy = {*FORBIDDEN, "importlib.metadata", "shutil", "encodings.idna"} - {"heliograph.cli"}
    for where in ({"OTEL_TRACES_EXPORTER": "none"}, {}):
        launcher = imported(*command, **where)
        assert len(launcher - plain) <= 40
        assert launcher.isdisjoint(heavy)


def test_who_listens_is_found_without_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert _listens(port)
    assert not _listens(port)
