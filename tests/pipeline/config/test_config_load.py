# ruff: noqa: E501 - a case is a line
"""The structure of a configuration: ids, sections, pipelines, references, sources, merging."""

from pathlib import Path

import pytest
from configs import config, loader, problems, registry, warnings

from heliograph.errors import ConfigError, Problem
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentId, Kind
from heliograph.pipeline.config import PipelineId, load
from heliograph.pipeline.config.load import Loader

GOOD = """
receivers: {in: , in/two: }
processors: {mid: }
exporters: {out: {endpoint: "a:1"}}
extensions: {side: }
service:
  extensions: [side]
  pipelines:
    traces: {receivers: [in], processors: [mid], exporters: [out]}
    logs/2: {receivers: [in, in/two], exporters: [out]}
"""


def pipelines(text: str, sections: str = "") -> list[str]:
    """Return the problems of ``service.pipelines`` with in, in/2, mid, out and join configured."""
    base = f"""
receivers: {{in: , in/2: }}
processors: {{mid: , mid/2: }}
exporters: {{out: {{endpoint: "a:1"}}}}
connectors: {{join: }}
{sections}
"""
    found = problems(base, f"service: {{pipelines: {text}}}")
    return [problem.partition(" ")[2].removeprefix("service.pipelines") for problem in found]


def test_result() -> None:
    found = config(GOOD)
    assert found.warnings == ()
    assert {f"{kind}.{id}" for kind, id in found.components} == {
        "receivers.in", "receivers.in/two", "processors.mid", "exporters.out", "extensions.side",
    }  # fmt: skip
    assert [str(id) for id in found.pipelines] == ["traces", "logs/2"]
    logs = found.pipelines[PipelineId(Signal.LOGS, "2")]
    assert logs.receivers == (ComponentId("in"), ComponentId("in", "two"))
    assert (logs.processors, logs.exporters) == ((), (ComponentId("out"),))
    assert found.extensions == (ComponentId("side"),)
    spec = found.component(Kind.RECEIVER, ComponentId("in"))
    assert str(spec.place) == "--config yaml:1:13"
    assert spec.factory is spec.module.Receiver


def test_problems_found_later_get_their_place() -> None:
    found = config(GOOD)
    problem = found.placed(Problem("exporters.out.endpoint", "does not answer"))
    assert str(problem) == "--config yaml:3:29: exporters.out.endpoint: does not answer"
    deeper = found.placed(Problem("receivers.in.protocols.grpc", "is in use"))
    assert str(deeper.place) == "--config yaml:1:13"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["service.pipelines: has no pipeline; at least one is needed | write traces: {receivers: [otlp], exporters: [debug]} under it"]),
        ("service: {}", ["1:1: service.pipelines: has no pipeline; at least one is needed | write traces: {receivers: [otlp], exporters: [debug]} under it"]),
        ("[a]", ["1:1: is a list, not a map | begin with receivers:, exporters: and service:"]),
        ("text", ["1:1: is text, not a map | begin with receivers:, exporters: and service:"]),
        (f"{GOOD}pipelines: ", ["10:1: pipelines: is not a section of a configuration | it stands under service"]),
        (f"{GOOD}recievers: ", ["10:1: recievers: is not a section of a configuration | did you mean 'receivers'?"]),
        (GOOD.replace("in:", "9in:").replace("[in", "[in/two"), ["1:13: receivers.9in: is no id: a type is letters, digits and _, and begins with a letter | write type or type/name"]),
        (GOOD.replace("in/two:", "in/:").replace(", in/two", ""), ["1:19: receivers.in/: is no id: nothing follows the '/' | write type or type/name"]),
        (GOOD.replace("in/two:", "'in/a b':").replace(", in/two", ""), ["1:19: receivers.in/a b: is no id: the name has a space, a control character or a symbol | write type or type/name"]),
        (GOOD.replace("{mid: }", "[mid]"), ["2:13: processors: is a list, not a map | write each as 'type:'", "8:44: service.pipelines.traces.processors[0]: 'mid' is not configured under processors | write 'mid:' under processors"]),
        (GOOD.replace("service:", "service:\n  pipeline: "), ["6:3: service.pipeline: is not an option here | did you mean 'pipelines'?"]),
        (GOOD.replace("extensions: [side]", "extensions: [sid]"), ["6:16: service.extensions[0]: 'sid' is not configured under extensions | did you mean 'side'?"]),
    ],
)  # fmt: skip
def test_section(text: str, said: list[str]) -> None:
    found = problems(text) if text else problems("{}")
    assert [item.lstrip() for item in found] == said


@pytest.mark.parametrize(
    ("type", "said"),
    [
        ("inn", "there is no receiver 'inn' | did you mean 'in'? available: in"),
        ("kafka", "the receiver 'kafka' is not supported yet | available: in"),
        ("kafkaa", "there is no receiver 'kafkaa' | did you mean 'kafka'? It is not supported yet; available: in"),
        ("mid", "there is no receiver 'mid' | it is one of the processors; available: in"),
        ("xyzzy", "there is no receiver 'xyzzy' | available: in"),
    ],
)  # fmt: skip
def test_unknown_type(type: str, said: str) -> None:
    text = GOOD.replace("in/two:", f"{type}:").replace("in/two", type)
    assert problems(text) == [f"1:19: receivers.{type}: {said}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{log: {receivers: [in], exporters: [out]}}", [".log: does not begin with a signal | did you mean 'logs'?"]),
        ("{trace/a: {receivers: [in], exporters: [out]}}", [".trace/a: does not begin with a signal | did you mean 'traces/a'?"]),
        ("{x: {receivers: [in], exporters: [out]}}", [".x: does not begin with a signal | use one of traces, metrics, logs, profiles"]),
        ("{traces: }", [
            ".traces.receivers: has no receiver; at least one is needed | write receivers: [in]",
            ".traces.exporters: has no exporter; at least one is needed | write exporters: [out]",
        ]),
        ("{traces: {receivers: [], exporters: [out]}}", [".traces.receivers: has no receiver; at least one is needed | write receivers: [in]"]),
        ("{traces: [in]}", [".traces: is a list, not a map | write receivers:, processors: and exporters: under it"]),
        ("[traces]", [": is a list, not a map of pipelines"]),
        ("{traces: {receivers: {in: }, exporters: [out]}}", [
            ".traces.receivers: is a map, not a list of ids | write [a, b]",
        ]),
        ("{traces: {receiver: [in], receivers: [in], exporters: [out]}}", [".traces.receiver: is not an option here | did you mean 'receivers'?"]),
        ("{traces: {receivers: [in], processors: [mid, mid], exporters: [out]}}", [
            ".traces.processors[1]: 'mid' stands here twice; a processor can be in a pipeline once | remove one, or name another one 'mid/2'"
        ]),
        ("{traces: {receivers: [in/3], processors: [mid/3, batch], exporters: [mid, nowhere]}}", [
            ".traces.receivers[0]: 'in/3' is not configured under receivers | did you mean 'in/2'?",
            ".traces.processors[0]: 'mid/3' is not configured under processors | did you mean 'mid/2'?",
            ".traces.processors[1]: 'batch' is not configured under processors | write 'batch:' under processors, or use one of mid, mid/2",
            ".traces.exporters[0]: 'mid' is not configured under exporters | it stands under processors",
            ".traces.exporters[1]: 'nowhere' is not configured under exporters | write 'nowhere:' under exporters, or use one of join, out",
        ]),
        ("{metrics: {receivers: [in], exporters: [out]}}", [".metrics.receivers[0]: 'in' is for traces and logs, not for metrics | name it in a pipeline of traces and logs"]),
        ("{profiles: {receivers: [join], exporters: [out]}}", [
            ".profiles.receivers[0]: the connector 'join' is a receiver here and nowhere an exporter | name it under exporters of another pipeline",
            ".profiles.exporters[0]: 'out' is for traces, metrics and logs, not for profiles | name it in a pipeline of traces, metrics and logs",
        ]),
        ("{traces: {receivers: [in], exporters: [join]}}", [".traces.exporters[0]: the connector 'join' is an exporter here and nowhere a receiver | name it under receivers of another pipeline"]),
        ("{traces: {receivers: [in], exporters: [join]}, metrics: {receivers: [join], exporters: [out]}}", []),
        ("{traces: {receivers: [in], exporters: [join]}, logs: {receivers: [join], exporters: [out]}}", [
            ".traces.exporters[0]: 'join' makes metrics of traces; no such pipeline receives from it",
            ".logs.receivers[0]: 'join' makes no logs of what it is given",
        ]),
        ("{metrics: {receivers: [join], exporters: [join]}}", [
            ".metrics.receivers[0]: 'join' makes no metrics of what it is given",
            ".metrics.exporters[0]: 'join' is for traces and logs, not for metrics",
        ]),
        ("{logs: {receivers: [in, join], exporters: [out, join]}}", [".logs: feeds itself through connectors: logs → logs | take one connector out"]),
        ("{log: {receivers: [in/3], exporters: [join]}, metrics: {receivers: [join], exporters: [out]}}", [
            ".log: does not begin with a signal | did you mean 'logs'?",
            ".log.receivers[0]: 'in/3' is not configured under receivers | did you mean 'in/2'?",
        ]),
        ("{'traces/': {receivers: [in], exporters: [out]}}", [".traces/: is no id: nothing follows the '/' | write signal or signal/name"]),
        ("{traces: {receivers: [[in]], exporters: ['']}}", [
            ".traces.receivers[0]: is a list, not the id of a component",
            ".traces.exporters[0]: is no id: a type is letters, digits and _, and begins with a letter",
        ]),
    ],
)  # fmt: skip
def test_pipeline(text: str, said: list[str]) -> None:
    assert pipelines(text) == said


def test_one_id_for_a_connector_and_an_exporter() -> None:
    text = GOOD.replace("processors: {mid", "connectors: {in: }\nprocessors: {mid")
    found = loader(text)
    assert [problem.message for problem in found.problems] == [
        "there is no connector 'in'",
        "has the id of one of the receivers, so pipelines cannot tell them apart",
    ]


def test_signals_of_a_component_with_other_problems_are_checked() -> None:
    text = GOOD.replace("in: ,", "in: {count: 0},").replace("traces:", "metrics:")
    assert [problem.message for problem in loader(text).problems] == [
        "is 0, below the least that is allowed, 1",
        "'in' is for traces and logs, not for metrics",
    ]


def test_one_value_for_a_list_of_ids() -> None:
    found = config(GOOD.replace("[in, in/two]", '"in, in/two"'))
    logs = found.pipelines[PipelineId(Signal.LOGS, "2")]
    assert logs.receivers == (ComponentId("in"), ComponentId("in", "two"))
    assert [str(w).partition(" service")[2] for w in found.warnings] == [
        ".pipelines.logs/2.receivers: is one value where a list is meant\n    fix: put it in [ ]"
    ]


def test_unused_components_are_checked_and_noted() -> None:
    text = GOOD.replace("in/two: }", "in/two: , in/3: {count: 0}, in/4: }")
    text = text.replace("extensions: [side]", "extensions: ")
    assert problems(text) == [
        "1:43: receivers.in/3.count: is 0, below the least that is allowed, 1 | use at least 1"
    ]
    assert warnings(text.replace("count: 0", "count: 1")) == [
        "1:29: receivers.in/3: is in no pipeline, so it does nothing",
        "1:47: receivers.in/4: is in no pipeline, so it does nothing",
        "4:14: extensions.side: is not in service.extensions, so it does nothing",
    ]


@pytest.mark.parametrize(
    ("extensions", "said"),
    [
        ("[side]", []),
        ("[]", ["'side' is configured and not started"]),
    ],
)
def test_authenticators_are_started(extensions: str, said: list[str]) -> None:
    text = GOOD.replace('"a:1"', '"a:1", auth: {authenticator: side}').replace("[side]", extensions)
    assert [problem.message for problem in loader(text).problems] == said


def test_authenticators_are_configured() -> None:
    text = GOOD.replace('"a:1"', '"a:1", auth: {authenticator: seid}')
    assert [str(problem).partition(" exporters")[2] for problem in loader(text).problems] == [
        ".out.auth.authenticator: 'seid' is not configured under extensions\n"
        "    fix: did you mean 'side'?"
    ]


@pytest.mark.parametrize(
    "telemetry",
    [
        "",
        "{logs: {level: DEBUG, encoding: json, output_paths: [stdout], sampling: {enabled: false}}}",
        "{logs: {initial_fields: {a: 1}, sampling: {initial: 2, thereafter: 500, tick: 10s}, disable_caller: true}}",
        "{logs: {processors: [{batch: {exporter: {otlp: {protocol: http/protobuf}}}}]}}",
        "{metrics: {level: detailed, address: ':8888'}}",
        "{metrics: {readers: [{pull: {exporter: {prometheus: {host: 0.0.0.0, port: 9}}}}]}}",
        "{metrics: {readers: [{periodic: {interval: 5000, exporter: {otlp: {endpoint: x}}}}], views: []}}",
        "{traces: {level: basic, propagators: [b3], processors: [{batch: {exporter: {console: {}}}}]}}",
        "{traces: {level: basic, sampler: {parent_based: {root: {always_on: }}}}}",
        "{traces: {sampler: {trace_id_ratio_based: {ratio: 0.5}}}}",
        "{metrics: {readers: [{pull: {exporter: {prometheus/development: {port: 9}}}}]}}",
        "{resource: {service.name: x, service.version: }}",
        "{resource: {schema_url: x, attributes: [{name: service.name, value: x}]}}",
    ],
)  # fmt: skip
def test_telemetry_is_accepted_whole(telemetry: str) -> None:
    config(GOOD.replace("service:\n", f"service:\n  telemetry: {telemetry}\n"))


def test_telemetry_in_one_form() -> None:
    def found(text: str) -> object:
        made = config(GOOD.replace("service:\n", f"service:\n  telemetry: {text}\n")).telemetry
        return made.logs.level, made.metrics.address, made.resource

    assert found("") == ("info", "localhost:8888", {})
    assert found("{metrics: {address: ':1'}}") == ("info", ":1", {})
    assert found("{metrics: {level: none}, logs: {level: WARN}}") == ("warn", None, {})
    prometheus = "{metrics: {readers: [{pull: {exporter: {prometheus: {host: h, port: 9}}}}]}}"
    assert found(prometheus) == ("info", "h:9", {})
    assert found("{metrics: {readers: [{periodic: {exporter: {console: {}}}}]}}") == (
        "info",
        None,
        {},
    )
    listed = "{resource: {attributes: [{name: a, value: 1}]}}"
    assert found(listed) == found("{resource: {a: 1}}") == ("info", "localhost:8888", {"a": "1"})


def test_telemetry_mistakes() -> None:
    text = GOOD.replace("service:\n", "service:\n  telemetry: {logs: {level: loud, colour: red}}\n")
    assert [problem.partition("telemetry.")[2] for problem in problems(text)] == [
        "logs.level: is the text 'loud', not one of debug, info, warn, error, dpanic, panic, fatal",
        "logs.colour: is not an option here | use one of level, encoding, output_paths, "
        "error_output_paths, development, disable_caller, disable_stacktrace, disable_zap_resource, "
        "sampling, initial_fields, processors",
    ]


def test_where_own_telemetry_goes() -> None:
    readers = """[
        {pull: {exporter: {prometheus: {port: 9, without_type_suffix: false}}}},
        {periodic: {interval: 5000, exporter: {otlp: {protocol: grpc, endpoint: "h:1"}}}}]"""
    processors = "[{batch: {schedule_delay: 2000, exporter: {otlp: {endpoint: x}}}}]"
    sampler = "{parent_based: {root: {trace_id_ratio_based: {ratio: 0.5}}}}"
    text = f"""{{metrics: {{readers: {readers}}}, logs: {{processors: {processors}}},
        traces: {{processors: {processors}, sampler: {sampler}}}}}"""
    found = config(GOOD.replace("service:\n", f"service:\n  telemetry: {text}\n")).telemetry
    (page,) = found.metrics.pages
    assert (page.address, page.total, page.units, page.written) == (
        "localhost:9",
        True,
        False,
        True,
    )
    (push,) = found.metrics.pushes
    assert push.otlp is not None
    assert (push.every, push.otlp.protocol, push.otlp.is_secure) == (5.0, "grpc", True)
    assert [push.every for push in found.logs.pushes] == [2.0]
    assert (found.traces.ratio, len(found.traces.pushes)) == (0.5, 1)
    quiet = config(GOOD.replace("service:\n", "service:\n  telemetry: {metrics: {level: none}}\n"))
    assert quiet.telemetry.metrics.pages == ()
    assert not config(GOOD).telemetry.metrics.pages[0].written


@pytest.mark.parametrize(
    ("telemetry", "said"),
    [
        ("{metrics: {readers: [{}]}}", "metrics.readers[0]: has to be either 'periodic' or 'pull'"),
        (
            "{metrics: {readers: [{periodic: {}}]}}",
            "metrics.readers[0].periodic.exporter: names no exporter",
        ),
        (
            "{traces: {processors: [{simple: {exporter: {zipkin: {}}}}]}}",
            "traces.processors[0].simple.exporter.zipkin: is not supported",
        ),
        (
            "{logs: {processors: [{batch: {exporter: {otlp: {protcol: grpc}}}}]}}",
            "logs.processors[0].batch.exporter.otlp.protcol: is not an option here",
        ),
    ],
)
def test_mistakes_about_where_own_telemetry_goes(telemetry: str, said: str) -> None:
    text = GOOD.replace("service:\n", f"service:\n  telemetry: {telemetry}\n")
    found = [problem.partition("telemetry.")[2].partition(" |")[0] for problem in problems(text)]
    assert found == [said]


def test_maps_merge_lists_are_replaced_and_null_wipes() -> None:
    found = config(
        GOOD,
        "receivers: {in: {count: 2, topics: [a]}}",
        "receivers: {in: {topics: [b]}}\nprocessors: \n",
        "service::pipelines::traces::processors: []",
    )
    model = found.component(Kind.RECEIVER, ComponentId("in")).config
    assert (model.model_dump()["count"], model.model_dump()["topics"]) == (2, ["b"])
    assert not any(kind is Kind.PROCESSOR for kind, _ in found.components)


def test_sets_come_last() -> None:
    sets = ("receivers.in.count=2", "receivers::in/two::topics=[x]", "receivers.in.count=3")
    found = config(GOOD, sets=sets)
    assert found.component(Kind.RECEIVER, ComponentId("in")).config.model_dump()["count"] == 3
    two = found.component(Kind.RECEIVER, ComponentId("in", "two")).config.model_dump()
    assert two["topics"] == ["x"]
    assert problems(GOOD, sets=("receivers.in.count=x",)) == [
        "--set receivers.in.count: receivers.in.count: is the text 'x', not a whole number"
    ]
    assert problems(GOOD, sets=("receivers.in",)) == [
        "--set receivers.in: has no '=' | write --set processors.batch.timeout=2s"
    ]


def test_merging_can_append() -> None:
    extra = (
        "service: {pipelines: {logs/2: {exporters: [out/2]}}}\nexporters: {out/2: {endpoint: b}}"
    )
    sources = [f"yaml:{GOOD}", f"yaml:{extra}"]
    for gates, expected in (
        ((), ["out/2"]),
        (("confmap.enableMergeAppendOption",), ["out", "out/2"]),
    ):
        found = Loader(sources, gates=gates, registry=registry()).config()
        assert found is not None
        names = [str(id) for id in found.pipelines[PipelineId(Signal.LOGS, "2")].exporters]
        assert names == expected


def test_feature_gates() -> None:
    found = Loader([f"yaml:{GOOD}"], gates=("a.b,+service.profilesSupport",), registry=registry())
    assert found.config() is not None
    assert [warning.message for warning in found.warnings] == [
        "'a.b' is no gate here; it is ignored",
        "'service.profilesSupport' is on for good",
    ]
    off = Loader([f"yaml:{GOOD}"], gates=("-service.profilesSupport",), registry=registry())
    assert off.config() is None


def test_sources_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError) as caught:
        load(
            [
                str(tmp_path), str(tmp_path / "confg.yaml"), "env:NO_SUCH_VARIABLE", "ftp:x",
                str(tmp_path / "config.yaml"), "https://u:secret@127.0.0.1:1/x?token=secret",
            ]
        )  # fmt: skip
    said = str(caught.value)
    assert f"{tmp_path}: is a directory" in said
    assert f"{tmp_path}/confg.yaml: no such file\n    fix: did you mean 'config.yaml'?" in said
    assert "env:NO_SUCH_VARIABLE: the environment variable is not set" in said
    assert "ftp:x: 'ftp:' is not a source that can be read\n    fix: use one of env" in said
    assert f"{tmp_path}/config.yaml: is not UTF-8 text at byte 3" in said
    assert "https://127.0.0.1:1/x: cannot be fetched" in said
    assert "secret" not in said


def test_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = GOOD.strip().partition("processors:")
    (tmp_path / "a.yaml").write_text(parts[0])
    monkeypatch.setenv("REST_OF_IT", parts[1] + parts[2])
    sources = [f"file:{tmp_path}/a.yaml", "env:REST_OF_IT", "yaml:receivers::in::count: 2"]
    found = Loader(sources, registry=registry())
    assert found.config() is not None, found.problems


def test_a_python_file_beside_the_configuration(tmp_path: Path) -> None:
    component = Path(__file__).parent / "parts" / "processor.py"
    (tmp_path / "redact.py").write_text(component.read_text())
    (tmp_path / "broken.py").write_text("1/0")
    (tmp_path / "empty.py").write_text("")
    text = GOOD.replace("mid", "redact").replace("service:", "service:\n  components: [redact.py]")
    (tmp_path / "config.yaml").write_text(text)
    found = Loader([str(tmp_path / "config.yaml")], registry=registry())
    result = found.config()
    assert result is not None, found.problems
    assert result.component(Kind.PROCESSOR, ComponentId("redact")).module.__doc__

    bad = "[broken.py, empty.py, nowhere.py, text]"
    (tmp_path / "config.yaml").write_text(text.replace("[redact.py]", bad))
    with pytest.raises(ConfigError) as caught:
        load([str(tmp_path / "config.yaml")])
    said = str(caught.value)
    assert "'broken.py' cannot be loaded: ZeroDivisionError: division by zero" in said
    assert (
        "'empty.py' has no class named Receiver, Processor, Connector, Exporter, Extension" in said
    )
    assert "'nowhere.py' no such Python file" in said
    assert "is the text 'text', not a Python file" in said


def test_a_python_file_that_hides_a_component_is_a_warning(tmp_path: Path) -> None:
    component = Path(__file__).parent / "parts" / "processor.py"
    (tmp_path / "mid.py").write_text(component.read_text())
    text = GOOD.replace("service:", "service:\n  components: [mid.py]")
    (tmp_path / "config.yaml").write_text(text)
    found = Loader([str(tmp_path / "config.yaml")], registry=registry())
    assert found.config() is not None
    assert [warning.message for warning in found.warnings] == [
        "'mid.py' takes the place of the processor 'mid'"
    ]


def test_problems_stand_in_the_order_of_sources_and_lines() -> None:
    text = GOOD.replace("in: ", "in: {count: 0, ratio: 2}").replace("traces:", "trace:")
    assert [problem.partition(":")[0] for problem in problems(text)] == ["1", "1", "8"]
