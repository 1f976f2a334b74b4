"""A configuration runs no code but the Python files that it names under ``service.components``."""

from __future__ import annotations

import ast
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import ConfigError
from heliograph.otlp import Signal
from heliograph.pipeline.component import Kind
from heliograph.pipeline.config import load
from heliograph.pipeline.config.load import Loader
from heliograph.pipeline.config.sources import SourceError, public, read_url
from heliograph.pipeline.config.yaml_source import read
from heliograph.pipeline.fields import parse_duration, parse_size
from heliograph.pipeline.net import parse_endpoint
from heliograph.processors import attributes
from heliograph.testing import Sink, logs, settings

SOURCE = Path(__file__).parents[2] / "src" / "heliograph"
TAGS = [
    "!!python/object/apply:os.system ['touch {mark}']",
    "!!python/object/new:subprocess.Popen [['touch', '{mark}']]",
    "!!python/object:pathlib.Path {{}}",
    "!!python/name:os.system",
    "!!python/module:antigravity",
    "!!python/tuple [1]",
    "!<tag:yaml.org,2002:python/name:os.system>",
    "!!binary aGk=",
    "!!set {{a}}",
    "!local x",
    "!include /etc/passwd",
]
REST = """
exporters: {nop: }
service: {pipelines: {metrics: {receivers: [otlp], exporters: [nop]}}}
"""


@pytest.mark.parametrize("tag", TAGS)
def test_tags_are_refused_with_their_place(tag: str, tmp_path: Path) -> None:
    mark = tmp_path / "touched"
    value = tag.format(mark=mark)
    path = tmp_path / "collector.yaml"
    path.write_text(f"receivers:\n  otlp:\n    protocols: {value}\n{REST}")
    with pytest.raises(ConfigError) as caught:
        load([str(path)])
    (problem,) = caught.value.problems
    assert str(problem.place) == f"{path}:3:16"
    assert "has a tag" in problem.message
    assert problem.fix
    with pytest.raises(ConfigError, match="has a tag"):
        load([f"yaml:receivers: {{otlp: }}{REST}"], [f"receivers.otlp.protocols={value}"])
    assert not mark.exists()


@pytest.mark.parametrize("scheme", ["env", "file", "yaml"])
def test_what_an_expansion_brings_is_not_run_either(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "touched"
    text = TAGS[0].format(mark=mark)
    monkeypatch.setenv("EVIL", text)
    (tmp_path / "evil").write_text(text)
    inner = {"env": "EVIL", "file": str(tmp_path / "evil"), "yaml": text}[scheme]
    loader = Loader([f'yaml:receivers: {{otlp: {{protocols: "${{{scheme}:{inner}}}"}}}}{REST}'])
    assert loader.config() is None
    assert loader.problems
    assert not mark.exists()


@pytest.mark.parametrize("name", ["antigravity", "os", "this", "heliograph", "evil", "os/path"])
def test_the_name_of_a_type_is_no_name_of_a_module(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    for kind in Kind:
        loader = Loader([f"yaml:{kind}: {{{name}: }}"])
        assert loader.config() is None
    assert not {"antigravity", "this", "evil"} & (set(sys.modules) - before)


FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "input", "breakpoint", "import_module",
    "exec_module", "system", "popen", "spawn", "unsafe_load", "full_load", "load_all",
}  # fmt: skip
MODULES = {"pickle", "marshal", "shelve", "subprocess", "code", "codeop", "runpy", "ctypes", "pty"}
REASONS = {
    ("pipeline/registry.py", "compile"): "the files of service.components",
    ("pipeline/registry.py", "exec"): "the files of service.components",
    ("pipeline/registry.py", "import_module"): "the modules of the registry and of entry points",
}


def doors(source: str) -> set[str]:
    """Return what a source calls or imports that could run text as code."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func
            name = getattr(called, "id", None) or getattr(called, "attr", "")
            of = getattr(getattr(called, "value", None), "id", "")
            if name in FORBIDDEN and of != "re":
                found.add(name)
            if (of, name) == ("yaml", "load"):
                found.add("yaml.load")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} & MODULES
    return found


def test_there_are_two_doors_to_code() -> None:
    found = {
        (str(path.relative_to(SOURCE)), door)
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[0] not in ("sdk", "instrument")  # not the collector
        for door in doors(path.read_text())
    }
    assert found == set(REASONS)


def test_a_planted_door_is_found() -> None:
    planted = "import pickle, yaml\neval('1')\nyaml.load(x)\nos.system('x')"
    assert doors(planted) == {"pickle", "eval", "yaml.load", "system"}


Pages = dict[str, tuple[int, str, dict[str, str]]]


@contextmanager
def web(pages: Pages) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Serve pages; give the address, and what was asked for with which credentials."""
    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("authorization")))
            status, text, headers = pages[self.path]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


COMPONENT = '''
"""Nothing."""
open({mark!r}, "w").close()
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig as Config


class Extension:
    signals = frozenset()
'''


def test_a_source_from_the_network_names_no_code(tmp_path: Path) -> None:
    mark, file = tmp_path / "ran", tmp_path / "evil.py"
    file.write_text(COMPONENT.format(mark=str(mark)))
    remote = f"receivers: {{otlp: {{protocols: {{grpc: }}}}}}{REST}"
    named = remote.replace("service: {", f"service: {{components: [{file}], ")
    pages: Pages = {
        "/named": (200, named, {}),
        "/plain": (200, remote, {}),
        "/list": (200, f"[{file}]", {}),
        "/name": (200, str(file), {}),
        "/half": (200, "evil", {}),
    }
    with web(pages) as (address, _):
        sources: list[tuple[list[str], list[str]]] = [
            ([f"{address}/named"], []),
            ([f"yaml:{remote}", f"yaml:service::components: ${{{address}/list}}"], []),
            ([f"yaml:{remote}", f"yaml:service::components: ['${{{address}/name}}']"], []),
            ([f"yaml:{remote}"], [f"service.components=['{tmp_path}/${{{address}/half}}.py']"]),
        ]
        for uris, sets in sources:
            with pytest.raises(ConfigError, match="may not run code here"):
                load(uris, sets)
        assert not mark.exists()
        load([f"{address}/plain"], [f"service.components=[{file}]"])
        assert mark.exists()


def test_a_redirect_takes_no_credentials_elsewhere() -> None:
    with web({"/there": (200, "text", {})}) as (other, asked_there):
        away = {"Location": f"{other}/there"}
        pages: Pages = {
            "/away": (302, "", away),
            "/near": (302, "", {"Location": "/here"}),
            "/here": (200, "text", {}),
            "/file": (302, "", {"Location": "file:///etc/passwd"}),
            "/ftp": (302, "", {"Location": "ftp://127.0.0.1/x"}),
        }
        with web(pages) as (address, asked):
            mine = address.replace("://", "://ann:sesame@")
            assert read_url(f"{mine}/away") == "text"
            assert read_url(f"{mine}/near") == "text"
            for path in ("/file", "/ftp"):
                with pytest.raises(SourceError, match=r"answers 302|no TLS"):
                    read_url(f"{mine}{path}")
    assert asked_there == [("/there", None)]
    assert asked[0][1] is not None
    assert asked[2] == ("/here", asked[0][1])


def test_a_source_without_tls_is_warned_of() -> None:
    def warnings(source: str) -> list[str]:
        loader = Loader([source])
        loader.config()
        return [str(problem) for problem in loader.warnings]

    (warning,) = warnings("http://192.0.2.1:1:2/x?token=y")
    assert warning == (
        f"{public('http://192.0.2.1:1:2/x?token=y')}: comes without TLS, so that whoever is on "
        "the way can change it\n    fix: use https:"
    )
    assert warnings("http://127.0.0.1:9/x") == []
    assert warnings("https://[") == []


async def test_a_pattern_takes_linear_time() -> None:
    """Backtracking engines need longer than the universe is old for these."""
    for pattern in ("^(a+)+$", "^(a|aa)+$", "^(a|a)*b", "(.*a){25}"):
        written = {
            "include": {"match_type": "regexp", "log_bodies": [pattern]},
            "actions": [{"key": "seen", "value": "yes", "action": "insert"}],
        }
        config = attributes.Config.model_validate(written)
        assert list(config.check()) == []
        sink = Sink()
        processor = attributes.Processor(config, settings(signal=Signal.LOGS), sink)
        start = time.thread_time()
        await processor.consume(logs(1, body="a" * 20_000 + "!"))
        assert time.thread_time() - start < 2
        assert sink.items == 1


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("(", "unclosed group"), ("a(?=b)", "look-around"), ("(a{1000}){1000}", "too large")],
)
def test_a_pattern_that_the_engine_does_not_take(pattern: str, said: str) -> None:
    match = {"match_type": "regexp", "log_bodies": [pattern]}
    action = {"key": "seen", "value": "yes", "action": "insert"}
    config = attributes.Config.model_validate({"include": match, "actions": [action]})
    problems = [problem for part in (config.include, config) if part for problem in part.check()]
    assert any(said in problem.message for problem in problems), problems


@pytest.mark.parametrize("parse", [parse_duration, parse_size, parse_endpoint])
@pytest.mark.parametrize(
    "text", ["1" * 50_000 + "x", "1s" * 25_000 + "!", "a" * 50_000, "." * 50_000]
)
def test_our_own_patterns_take_linear_time(parse: Any, text: str) -> None:
    start = time.thread_time()
    with pytest.raises(ValueError, match="is"):
        parse(text)
    read(f"a: '{text}'", "c.yaml")
    assert time.thread_time() - start < 1
