"""``${…}`` becomes what it names, typed, with the text kept for options that are text."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.errors import ConfigError, Problem
from heliograph.pipeline.config.expand import Expander
from heliograph.pipeline.config.sources import read_source
from heliograph.pipeline.config.yaml_source import Mapping, Scalar, plain, read


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "PORT": "4317", "HOST": "host", "NESTED": "${HOST}x", "EMPTY": "", "LIST": "[a, b]",
        "MAP": "{a: 1}", "HASH": "a $$ b # c", "SELF": "${SELF}", "TWO": "${TWO}${TWO}",
        "NAME": "HOST", "ZEROS": "007", "QUOTED": '"x"', "NO_YAML": "[a", "FLAG": "true",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("UNSET", raising=False)


def expand(value: str) -> tuple[object, list[Problem], list[Problem]]:
    expander = Expander()
    node = expander.expand(read(f"a: {value}", "c.yaml"))
    return plain(node)["a"], expander.problems, expander.warnings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${env:PORT}", 4317),
        ("${PORT}", 4317),
        ("'${env:PORT}'", 4317),
        ("${HOST}:${env:PORT}", "host:4317"),
        ("x${ZEROS}", "x007"),
        ("${NESTED}", "hostx"),
        ("${LIST}", ["a", "b"]),
        ("${MAP}", {"a": 1}),
        ("${FLAG}", True),
        ("${QUOTED}", '"x"'),
        ("${NO_YAML}", "[a"),
        ("${HASH}", "a $ b # c"),
        ("${EMPTY}", None),
        ("${EMPTY:-5}", None),
        ("${UNSET:-5}", 5),
        ("${env:UNSET:-5s}", "5s"),
        ("${env:UNSET:-}", ""),
        ("${env:UNSET:-${HOST}}", "host"),
        ("${env:UNSET:-a:b}", "a:b"),
        ("${env:${NAME}}", "host"),
        ("${${NAME}}", "host"),
        ("${yaml:[1, 2]}", [1, 2]),
        ("${yaml:x}y", "xy"),
        ("$${PORT}", "${PORT}"),
        ("$$${PORT}", "$4317"),
        ("$$$${PORT}", "$${PORT}"),
        ("a$$b", "a$b"),
        ("$1 and ${PORT}", "$1 and 4317"),
        ("x}", "x}"),
    ],
)
def test_value(text: str, value: object) -> None:
    assert expand(text) == (value, [], [])


@pytest.mark.parametrize("text", ["0755", "1.10", "0x1F", "null", "2001-01-01", "1e3"])
def test_the_text_is_kept_for_options_that_are_text(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXT", text)
    node = Expander().expand(read("a: ${TEXT}", "c.yaml"))
    assert isinstance(node, Mapping)
    scalar = node.entries["a"].node
    assert isinstance(scalar, Scalar)
    assert (scalar.text, scalar.origin) == (text, "${env:TEXT}")


def test_an_unset_variable_is_null_and_a_warning_that_names_it() -> None:
    value, problems, warnings = expand("${env:UNSET}")
    assert (value, problems) == (None, [])
    assert [str(warning) for warning in warnings] == [
        "c.yaml:1:4: a: the environment variable UNSET is not set; nothing stands here\n"
        "    fix: set it, or write a default: ${env:UNSET:-default}"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$HOME", "$HOME is taken as text"),
        ("x ${HOST", "opens '${' that nothing closes; taken as text"),
    ],
)
def test_what_stays_text_is_a_warning(text: str, said: str) -> None:
    value, problems, warnings = expand(text)
    assert (value, problems) == (text, [])
    assert [warning.message for warning in warnings] == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${SELF}", "expands into itself"),
        ("x${LIST}", "puts a map or a list into a text"),
        ("${vault:x}", "${vault:…}: 'vault:' is not a source that can be read"),
        ("${env:a-b}", "${env:a-b}: 'a-b' is no name of an environment variable"),
        ("${env:A$B}", "has a '$' inside ${…} that is no variable"),
        ("${env:A$$B}", "has a '$' inside ${…} that is no variable"),
        ("${file:/no/such/file}", "${file:/no/such/file}: no such file"),
        ("${file:/}", "${file:/}: is a directory"),
    ],
)
def test_mistake(text: str, said: str) -> None:
    _, problems, _ = expand(text)
    assert [problem.message for problem in problems] == [said]
    assert problems[0].path == "a"
    assert str(problems[0].place) == "c.yaml:1:4"


def test_expansion_cannot_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.pipeline.config.expand.MAX_NODES", 1000)
    with pytest.raises(ConfigError, match="expands to over 1000 values"):
        expand("${TWO}")


def test_nesting_is_bounded() -> None:
    _, problems, _ = expand("${" * 300 + "X" + "}" * 300)
    assert "expands into itself" in [problem.message for problem in problems]


def test_file(tmp_path: Path) -> None:
    secret, part = tmp_path / "secret", tmp_path / "part.yaml"
    secret.write_text("0123\n")
    part.write_text(f"b: ${{PORT}}\nc: ${{file:{secret}}}\n")
    node = Expander().expand(read(f"a: ${{file:{part}}}", "c.yaml"))
    assert plain(node) == {"a": {"b": 4317, "c": 83}}
    assert isinstance(node, Mapping)
    inner = node.entries["a"].node
    assert isinstance(inner, Mapping)
    assert str(inner.entries["b"].node.place) == f"{part}:1:4"
    secret_node = inner.entries["c"].node
    assert isinstance(secret_node, Scalar)
    assert secret_node.text == "0123"


def test_a_certificate_keeps_its_line_breaks(tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n")
    assert expand(f"${{file:{pem}}}")[0] == pem.read_text().rstrip("\n")


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path.startswith("/config")
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b"b: ${PORT}")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_http(address: str) -> None:
    assert expand(f"${{{address}/config}}") == ({"b": 4317}, [], [])


def test_http_errors_hide_credentials(address: str) -> None:
    with_password = address.replace("//", "//user:hunter2@")
    _, problems, _ = expand(f"${{{with_password}/nothing?token=hunter2}}")
    assert len(problems) == 1
    assert "hunter2" not in str(problems[0])
    _, problems, _ = expand(f"${{{address}/nothing}}")
    assert problems[0].message == f"${{{address}/nothing}}: the server answers 404"


def test_http_as_a_source(address: str) -> None:
    assert plain(read_source(f"{address}/config")) == {"b": "${PORT}"}
    with pytest.raises(ConfigError, match="the server answers 404"):
        read_source(f"{address}/nothing")
