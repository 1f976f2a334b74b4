"""A secret that is planted in every place shows up in none: not in what is printed, not in errors,
not in representations. `test_secrets_of_a_process` does the same with a running collector."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, SecretStr
from test_components import MINIMAL

from heliograph.cli import main
from heliograph.pipeline.component import ComponentId, Kind
from heliograph.pipeline.config import Config
from heliograph.pipeline.config.load import Loader
from heliograph.pipeline.config.printing import as_json, as_yaml
from heliograph.pipeline.config.shape import keys
from heliograph.pipeline.redaction import Redactor, without_credentials
from heliograph.pipeline.registry import BUILTIN, Registry

PLANTED = "hunter2planted"
NUMBER = 73198426507
FORMS = (PLANTED, str(NUMBER), "aHVudGVyMnBsYW50ZW", "h-u-n-t-e-r")
Steps = tuple[str, ...]


def options(
    model: type[BaseModel], seen: set[tuple[type[BaseModel], str]], path: Steps = ()
) -> Iterator[tuple[Steps, Any]]:
    """Yield path and type of every option of a model and those inside it; shared ones once."""
    for name, info in keys(model):
        inner = [part for part in _types(info.annotation) if _is_model(part)]
        for part in inner:
            yield from options(part, seen, (*path, name))
        owner = next(base for base in reversed(model.mro()) if _has(base, name))
        if not inner and (owner, name) not in seen:
            seen.add((owner, name))
            yield (*path, name), info.annotation


def _has(base: type, name: str) -> bool:
    return name in getattr(base, "__annotations__", {})


def _types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _types(part)


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


REGISTRY = Registry()


def every_option() -> Iterator[Any]:
    seen: set[tuple[type[BaseModel], str]] = set()
    for kind, type in sorted(BUILTIN):
        module = REGISTRY.module(kind, type)
        assert module is not None
        for path, annotation in options(module.Config, seen):
            name = f"{kind}.{type}.{'.'.join(path)}"
            yield pytest.param(kind, type, path, annotation, id=name)


EVERY = list(every_option())
SECRET = [item for item in EVERY if SecretStr in list(_types(item.values[3]))]


def with_option(kind: Kind, type: str, path: Steps, value: Any) -> str:
    """Return a configuration that sets one option of one component."""
    component: dict[str, Any] = json.loads(json.dumps(MINIMAL.get((kind.value, type), {})))
    here = component
    for step in path[:-1]:
        if not isinstance(here.get(step), dict):
            here[step] = {}
        here = here[step]
    here[path[-1]] = value
    sections: dict[str, Any] = {
        "receivers": {"otlp": {"protocols": {"grpc": None}}},
        "exporters": {"nop": None},
        "service": {"pipelines": {"logs": {"receivers": ["otlp"], "exporters": ["nop"]}}},
    }
    sections.setdefault(kind.value, {})[type] = component
    return yaml.safe_dump(sections)


def shown(loader: Loader, config: Config | None, *, printed: bool = True) -> str:
    """Return all that is said of a configuration."""
    said = [str(problem) for problem in (*loader.problems, *loader.warnings)]
    said += [repr(loader), repr(config), str(config), repr(loader.problems)]
    if printed:
        said += [as_yaml(loader), as_json(loader)]
    if config is not None:
        for spec in config.components.values():
            model = spec.config
            said += [repr(model), str(model), repr(spec)]
            if printed:
                said += [model.model_dump_json(), str(model.model_dump())]
    return "\n".join(said)


def loaded(text: str, *, printed: bool = True, sets: tuple[str, ...] = ()) -> str:
    loader = Loader([f"yaml:{text}"], sets, registry=REGISTRY)
    config = loader.config()
    return shown(loader, config, printed=printed)


def clean(text: str) -> bool:
    lowered = text.lower()
    return not any(form.lower() in lowered for form in FORMS)


def test_there_are_secrets() -> None:
    assert len(SECRET) > 10
    assert len(EVERY) > 100


@pytest.mark.parametrize(("kind", "type", "path", "annotation"), SECRET)
def test_in_every_secret_option_whatever_its_shape(
    kind: Kind, type: str, path: Steps, annotation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", PLANTED)
    for value in (
        PLANTED,
        NUMBER,
        [PLANTED],
        {"authorization": PLANTED},
        {"x-short": PLANTED, "deeper": {"still": PLANTED}},
        [{"name": "a", "value": PLANTED}],
        [[PLANTED]],
        "${env:PLANTED}",
        "Bearer ${env:PLANTED}",
        "${yaml:[hunter2planted]}",
        "${file:/no/such/file}",
    ):
        text = with_option(kind, type, path, value)
        assert clean(loaded(text)), value


@pytest.mark.parametrize(("kind", "type", "path", "annotation"), EVERY)
def test_what_a_variable_brings_is_in_no_message(
    kind: Kind, type: str, path: Steps, annotation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = with_option(kind, type, path, "${env:PLANTED}")
    for value in (PLANTED, str(NUMBER), f"[{PLANTED}, {{a: {PLANTED}}}]"):
        monkeypatch.setenv("PLANTED", value)
        loader = Loader([f"yaml:{text}"], registry=REGISTRY)
        config = loader.config()
        said = "\n".join(map(str, (*loader.problems, *loader.warnings)))
        assert clean(said), (value, said)
        assert clean(repr(loader)), value
        assert config is None or clean(repr(loader.root))


@pytest.mark.parametrize(("kind", "type", "path", "annotation"), EVERY)
def test_credentials_of_addresses_in_every_option(
    kind: Kind, type: str, path: Steps, annotation: Any
) -> None:
    if path[-1].endswith("url_path") or Path in list(_types(annotation)):
        return  # a path in both, not an address
    for value in (
        f"http://user:{PLANTED}@host:4318/x",
        f"https://{PLANTED}@host",
        f"user:{PLANTED}@host:4317",
        f"ftp://user:{PLANTED}/with/slashes@host:1",
        f"http://user:{PLANTED}@[::1",
    ):
        said = loaded(with_option(kind, type, path, value), printed=False)
        assert clean(said), (value, said)
    said = loaded(with_option(kind, type, path, [value, {"a": value}]), printed=False)
    assert clean(said), said


def test_credentials_of_addresses_are_not_printed() -> None:
    text = with_option(
        Kind.EXPORTER, "otlphttp", ("endpoint",), f"https://user:{PLANTED}@host:4318/x"
    )
    loader = Loader([f"yaml:{text}"])
    assert loader.config() is not None
    assert "https://**********@host:4318/x" in as_yaml(loader)
    assert clean(as_yaml(loader) + as_json(loader))
    assert PLANTED in as_yaml(loader, redacted=False)


REST = """
receivers: {otlp: {protocols: {grpc: }}}
exporters: {nop: }
service: {pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}
"""


@pytest.mark.parametrize(
    "text",
    [
        "extensions: {bearertokenauth: {tokn: hunter2planted}}",
        "extensions: {bearertokenauth: {tokn: 73198426507}}",
        "extensions: {bearertokenauth: token=hunter2planted}",
        "extensions: {bearertokenauth: [hunter2planted]}",
        "extensions: {bearertokenauth: {token: hunter2planted, tokens: hunter2planted}}",
        "extensions: {bearertokenauth/hunter: {tokens: 'a, hunter2planted'}}",
        "extensions: {basicauth: {htpasswd: 'ann:hunter2planted'}}",
        "extensions: {basicauth: {htpasswd: {inlin: 'ann:hunter2planted'}}}",
        "extensions: {basicauth: {client_auth: {username: u, password: [hunter2planted]}}}",
        "extensions: {oauth2client: {client_secret: hunter2planted, endpoint: hunter2planted}}",
        "extensions: {no such id: {secret: hunter2planted}}",
        "extensions: [hunter2planted]",
        "extensions: hunter2planted",
        "extension: {basicauth: {htpasswd: {inline: 'ann:hunter2planted'}}}",
        "exporters: {datadog: {api: {key: hunter2planted, anything: hunter2planted}}}",
        "exporters: {otlp: {endpoint: 'a:1', headers: hunter2planted}}",
        "exporters: {otlp: {endpoint: 'a:1', headers: [a, hunter2planted]}}",
        "exporters: {otlp: {endpoint: 'a:1', headers: {a: {b: hunter2planted}}}}",
        "exporters: {otlp: {endpoint: 'a:1', header: {a: hunter2planted}}}",
        "exporters: {otlp: {endpoint: 'a:1', tls: hunter2planted}}",
        "exporters: {otlp: {endpoint: 'a:1', tls: {key_pam: hunter2planted}}}",
        "exporters: {otlp: {endpoint: 'a:1', auth: hunter2planted}}",
        "exporters: {otlp: {endpoint: ['hunter2planted']}}",
        "service: {telemetry: {metrics: {readers: [{periodic: {exporter: {otlp: {headers: "
        "[{name: a, value: hunter2planted}]}}}}]}}}",
        "service: {telemetry: {metrics: {raeders: hunter2planted}}}",
        "service: {telemetri: {metrics: hunter2planted}}",
        "service: hunter2planted",
        # What YAML takes for something else.
        "extensions: {bearertokenauth: {token: !hunter2planted}}",
        "extensions: {bearertokenauth: {token: !!hunter2planted x}}",
        "extensions: {bearertokenauth: {token: !hunter2planted!x}}",
        "extensions: {bearertokenauth: {token: *hunter2planted}}",
        "extensions: {bearertokenauth: {token: &hunter2planted}}",
        "extensions: {bearertokenauth: {token: @hunter2planted}}",
        "extensions: {bearertokenauth: {token: %hunter2planted}}",
        "extensions: {bearertokenauth: {token: 'hunter2planted}}",
        'extensions: {bearertokenauth: {token: "\\hunter2planted"}}',
        'extensions: {bearertokenauth: {token: "hunter2planted\\q"}}',
        "extensions:\n  bearertokenauth:\n    token: hunter2planted: x",
        "extensions:\n  bearertokenauth:\n    token: x\n   hunter2planted",
        "extensions:\n\tbearertokenauth: hunter2planted",
        "extensions: {bearertokenauth: {token: hunter2planted, token: hunter2planted}}",
        # What an expansion takes for something else.
        "extensions: {bearertokenauth: {token: $HUNTER2PLANTED}}",
        "extensions: {bearertokenauth: {token: '${hunter2planted'}}",
        "extensions: {bearertokenauth: {token: '${yaml:{hunter2planted: [}'}}",
    ],
)
def test_where_it_does_not_belong(text: str) -> None:
    sections = [line for line in REST.splitlines() if line.partition(":")[0] not in text]
    assert clean(loaded("\n".join([text, *sections])))


@pytest.mark.parametrize(
    "argument",
    [
        "extensions.bearertokenauth.token=hunter2planted",
        "extensions.bearertokenauth.tokn=hunter2planted",
        "extensions.bearertokenauth.token=[hunter2planted",
        "extensions.bearertokenauth.token=!hunter2planted",
        "extensions.bearertokenauth=hunter2planted",
        "extensions.bearertokenauth.token:hunter2planted",
        "extensions::bearertokenauth::token: hunter2planted",
        "extensions::bearertokenauth::token: 'hunter2planted='",
        "extensions::bearertokenauth: {token: hunter2planted==}",
        "hunter2planted",
        "=hunter2planted",
    ],
)
def test_on_the_command_line(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["validate"], ["print-config", "--no-validate"], ["print-config"]):
        main(["collector", *command, "--config", f"yaml:{REST}", "--set", argument])
        said = capsys.readouterr()
        assert clean(said.out + said.err)


@pytest.mark.parametrize(
    "source",
    [
        f"http://user:{PLANTED}@127.0.0.1:9/x?token={PLANTED}#{PLANTED}",
        f"https://{PLANTED}@127.0.0.1:9/x",
        f"http://user:{PLANTED}/with/slashes@127.0.0.1:9/x",
        f"http://user:{PLANTED}@127.0.0.1:nine/x",
        f"http://user:{PLANTED}@[::1/x",
        f"http://user:pass word{PLANTED}@127.0.0.1:9/ x",
        f"yaml:{PLANTED}",
        f"yaml:[{PLANTED}",
        f"yaml:{{extensions: {{bearertokenauth: {{token: {PLANTED}}}}}",
    ],
)
def test_in_the_name_of_a_source(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["validate"], ["print-config", "--no-validate"]):
        assert main(["collector", *command, "--config", source]) != 0
        said = capsys.readouterr()
        assert said.err
        assert "Traceback" not in said.err
        assert clean(said.out + said.err), said.err
    inner = f"extensions: {{bearertokenauth: {{token: '${{{source}}}'}}}}\n{REST}"
    assert clean(loaded(inner))


def test_the_schema_of_the_configuration_has_no_secret() -> None:
    from heliograph.pipeline.config.schema import schema

    defaults = json.dumps(schema(Registry()))
    assert "hunter" not in defaults
    assert '"writeOnly": true' in defaults


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at http://u:p@h:1/x?y", "at http://**********@h:1/x?y"),
        ("https://token@h", "https://**********@h"),
        ("http://u:p/q@h/x", "http://**********@h/x"),
        ("'u:p@host:4317'", "'**********@host:4317'"),
        ("u:p@[::1]:1", "**********@[::1]:1"),
        ("http://h:1/x", "http://h:1/x"),
        ("mail a@b.example", "mail a@b.example"),
        ("exporters.otlp: is a@b", "exporters.otlp: is a@b"),
    ],
)
def test_without_credentials(text: str, expected: str) -> None:
    assert without_credentials(text) == expected


def test_a_redactor_knows_the_ways_to_write_a_secret() -> None:
    redactor = Redactor()
    redactor.hide("pass\nword/ü&", "short", "-----BEGIN X-----\nAAAABBBBCCCC\n-----END X-----")
    assert redactor("the password is short") == "the password is short"
    redactor.hide("sesame/ü&\\")
    for text in ("sesame/ü&\\", repr("sesame/ü&\\"), "sesame%2F%C3%BC%26%5C", "c2VzYW1lL8O8Jlw="):
        assert "**********" in redactor(f"a {text} b")
    assert redactor("key AAAABBBBCCCC") == "key **********"
    assert redactor("user:hash ") == "user:hash "
    redactor.hide("ann:$2y$05$abc\nben:{SHA}xyz")
    assert redactor("{SHA}xyz and $2y$05$abc") == "********** and **********"


def test_settings_show_nothing_of_a_configuration() -> None:
    from heliograph.testing import settings

    made = settings("otlp", Kind.EXPORTER, extensions={})
    assert "Secret" not in repr(made)
    assert made.id == ComponentId("otlp")
    assert isinstance(made.log, logging.Logger)
