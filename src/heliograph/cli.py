"""Every command of ``heliograph``."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    # What is imported here costs every program below `heliograph run` its time.
    import argparse
    from collections.abc import Callable, Sequence

    from heliograph.pipeline.config.load import Loader
    from heliograph.pipeline.journal_tool import Found

OK = 0
FAILED = 1
USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0 done, 1 failed, 2 no such command."""
    given = list(sys.argv[1:] if argv is None else argv)
    instrument = _instrument(given[0]) if given else None
    if instrument is not None:
        return instrument(given[1:])
    parser = _parser()
    arguments = parser.parse_args(given)
    if arguments.run is None:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        chosen: Callable[[argparse.Namespace], int] = arguments.run
        return chosen(arguments)
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    except Exception as error:
        from heliograph.pipeline.redaction import crash  # noqa: PLC0415 - heavy

        sys.stderr.write(crash(error))
        return FAILED


def _instrument(name: str) -> Callable[[Sequence[str]], int] | None:
    """Return what `run`, `bootstrap` and `doctor` do; what they start is somebody's program."""
    if name == "run":
        from heliograph.instrument.launcher import main as command  # noqa: PLC0415 - before all else
    elif name == "bootstrap":
        from heliograph.instrument.bootstrap.command import main as command  # noqa: PLC0415
    elif name == "doctor":
        from heliograph.instrument.doctor.command import main as command  # noqa: PLC0415
    else:
        return None
    return command


def _parser() -> argparse.ArgumentParser:
    import argparse  # noqa: PLC0415 - slow

    parser = argparse.ArgumentParser("heliograph", description="OpenTelemetry in one package.")
    _version_option(parser)
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    commands.add_parser("run", help="run a program with traces, metrics and logs", add_help=False)
    commands.add_parser(
        "bootstrap", help="install the instrumentations that fit what is installed", add_help=False
    )
    commands.add_parser(
        "doctor", help="say what is instrumented and sent where, and what is wrong", add_help=False
    )
    _collector(commands.add_parser("collector", help="receive, process and export telemetry"))
    return parser


def _collector(parser: argparse.ArgumentParser) -> None:
    from argparse import BooleanOptionalAction  # noqa: PLC0415 - slow

    parser.description = "Receive, process and export telemetry, as a configuration says."
    _version_option(parser)
    parser.set_defaults(run=_run)
    _source_options(parser, "")
    parser.add_argument(
        "--watch", action="store_true", help="reload when the configuration's files change"
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", description="instead of running the collector"
    )
    validate = commands.add_parser("validate", help="check a configuration")
    validate.set_defaults(run=_validate)
    printing = commands.add_parser(
        "print-config",
        aliases=["print-initial-config"],
        help="show the configuration, merged and expanded, and where each value came from",
    )
    printing.set_defaults(run=_print_config)
    printing.add_argument("--mode", choices=["redacted", "unredacted"], default="redacted")
    printing.add_argument("--format", choices=["yaml", "json"], default="yaml")
    printing.add_argument("--validate", action=BooleanOptionalAction, default=True)
    status = commands.add_parser("status", help="show what a running collector does")
    status.set_defaults(run=_status)
    status.add_argument("--socket", metavar="PATH", help="its control socket, as its log says")
    status.add_argument("--json", action="store_true", help="for programs")
    status.add_argument("--watch", action="store_true", help="rates, drawn anew each second")
    reload = commands.add_parser("reload", help="have a running collector reload")
    reload.set_defaults(run=_reload)
    reload.add_argument("--socket", metavar="PATH", help="its control socket, as its log says")
    for command in (validate, printing, status, reload):
        _source_options(command, "more_")
    _journal(commands.add_parser("journal", help="look at what waits on disk, check it, send it"))
    components = commands.add_parser("components", help="list what a configuration can name")
    components.set_defaults(run=_components)
    components.add_argument("--json", action="store_true", help="for programs")
    schema = commands.add_parser("schema", help="print a JSON Schema for editors")
    schema.set_defaults(run=_schema)
    gates = commands.add_parser("featuregate", help="list the feature gates, or one")
    gates.set_defaults(run=_featuregate)
    gates.add_argument("id", nargs="?")


def _journal(parser: argparse.ArgumentParser) -> None:
    parser.description = "What exporters could not deliver yet waits in journals on disk."
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = commands.add_parser("ls", help="what waits for whom, and in which files")
    listing.set_defaults(run=_journal_ls)
    listing.add_argument("--json", action="store_true", help="for programs")
    verify = commands.add_parser("verify", help="read all of it; exit with 1 if it is damaged")
    verify.set_defaults(run=_journal_verify)
    replay = commands.add_parser(
        "replay", help="send what waits to an OTLP/gRPC endpoint, while no collector runs"
    )
    replay.set_defaults(run=_journal_replay)
    replay.add_argument(
        "--to", metavar="HOST:PORT", required=True, help="in plain text, or https://HOST:PORT"
    )
    replay.add_argument(
        "--reader",
        metavar="ID",
        action="append",
        default=[],
        help="only what waits for exporter ID",
    )
    replay.add_argument("--keep", action="store_true", help="leave in the journal what was sent")
    for command in (listing, verify, replay):
        command.add_argument("--directory", metavar="PATH", help="a journal, instead of --config")
        _source_options(command, "more_")


def _version_option(parser: argparse.ArgumentParser) -> None:
    from importlib.metadata import version  # noqa: PLC0415 - slow

    text = f"heliograph {version('heliograph')}"
    parser.add_argument("--version", action="version", version=text)


def _source_options(parser: argparse.ArgumentParser, prefix: str) -> None:
    """Options before a command and behind it count alike; argparse keeps them apart."""
    for name, metavar, text in (
        ("config", "SOURCE", "a file, or env:NAME, yaml:TEXT, http(s):ADDRESS; later ones win"),
        ("set", "PATH=VALUE", "one value over all --config, such as processors.batch.timeout=2s"),
        ("feature-gates", "GATES", "gates to turn on, or with a '-' off"),
    ):
        parser.add_argument(
            f"--{name}", metavar=metavar, action="append", default=[], help=text,
            dest=prefix + name.replace("-", "_"),
        )  # fmt: skip


def _loader(arguments: argparse.Namespace) -> Loader | None:
    from heliograph.pipeline.config.load import Loader  # noqa: PLC0415 - heavy

    def both(name: str) -> list[str]:
        return [*getattr(arguments, name), *getattr(arguments, f"more_{name}", [])]

    if not both("config"):
        _say("heliograph: no configuration; name one with --config FILE")
        return None
    return Loader(both("config"), both("set"), both("feature_gates"))


def _run(arguments: argparse.Namespace) -> int:
    from heliograph.pipeline.run import run  # noqa: PLC0415 - heavy

    loader = _loader(arguments)
    if loader is None:
        return USAGE
    config = loader.config()
    if config is None:
        _say_problems(loader)
        return FAILED
    return run(config, watch=arguments.watch)


def _validate(arguments: argparse.Namespace) -> int:
    loader = _loader(arguments)
    if loader is None:
        return USAGE
    config = loader.config()
    _say_problems(loader)
    if config is None:
        return FAILED
    pipelines = ", ".join(str(id) for id in config.pipelines)
    print(f"valid: {_count(len(config.pipelines), 'pipeline')} ({pipelines})")
    return OK


def _print_config(arguments: argparse.Namespace) -> int:
    from heliograph.pipeline.config import printing  # noqa: PLC0415 - heavy

    loader = _loader(arguments)
    if loader is None:
        return USAGE
    valid = loader.config() is not None
    if not loader.resolved or (arguments.validate and not valid):
        _say_problems(loader)
        return FAILED
    show = printing.as_json if arguments.format == "json" else printing.as_yaml
    sys.stdout.write(show(loader, redacted=arguments.mode == "redacted"))
    return OK


def _status(arguments: argparse.Namespace) -> int:
    import json  # noqa: PLC0415 - slow

    from heliograph.pipeline.control import ControlError, ask, running  # noqa: PLC0415 - heavy
    from heliograph.pipeline.status_view import follow, render  # noqa: PLC0415 - heavy

    sources = [*arguments.config, *arguments.more_config]
    if not sources and arguments.socket is None:
        _say("heliograph: which collector? Name its --config or its --socket")
        return USAGE
    try:
        path = running(sources, arguments.socket)
        if arguments.watch and not arguments.json:
            follow(lambda: ask(path, "status"), write=_show)
        status = ask(path, "status")
    except ControlError as error:
        _say(str(error))
        return FAILED
    except KeyboardInterrupt:
        return OK
    _show(json.dumps(status, indent=2) + "\n" if arguments.json else render(status))
    return OK


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _reload(arguments: argparse.Namespace) -> int:
    from heliograph.pipeline.control import ControlError, ask, running  # noqa: PLC0415 - heavy
    from heliograph.pipeline.reuse import Change  # noqa: PLC0415 - heavy

    sources = [*arguments.config, *arguments.more_config]
    if not sources and arguments.socket is None:
        _say("heliograph: which collector? Name its --config or its --socket")
        return USAGE
    try:
        found = ask(running(sources, arguments.socket), "reload")
    except ControlError as error:
        _say(str(error))
        return FAILED
    notes = found.pop("notes")
    for line in [*Change(**found).lines(), *notes]:
        print(line)
    return OK


def _journals(arguments: argparse.Namespace) -> list[Found] | int:
    """Return the journals that are meant, or the exit status when there is none to look at."""
    from pathlib import Path  # noqa: PLC0415 - slow

    from heliograph.pipeline import journal_tool as tool  # noqa: PLC0415 - heavy

    if arguments.directory is not None:
        places = [Path(arguments.directory)]
    else:
        loader = _loader(arguments)
        if loader is None:
            return USAGE
        config = loader.config()
        if config is None:
            _say_problems(loader)
            return FAILED
        try:
            places = tool.directories(config)
        except OSError as error:
            _say(f"heliograph: {error}")
            return FAILED
    if not places:
        _say("heliograph: this configuration has no journal here yet")
    found, status = [], OK
    for place in places:
        try:
            found.append(tool.inspect(place))
        except tool.ToolError as error:
            _say(f"heliograph: {error}")
            status = FAILED
    return found if status == OK else status


def _journal_ls(arguments: argparse.Namespace) -> int:
    import json  # noqa: PLC0415 - slow

    from heliograph.pipeline import journal_tool as tool  # noqa: PLC0415 - heavy

    found = _journals(arguments)
    if isinstance(found, int):
        return found
    if arguments.json:
        print(json.dumps([tool.as_json(each) for each in found], indent=2))
    else:
        print("\n".join(map(tool.as_text, found)), end="")
    return OK


def _journal_verify(arguments: argparse.Namespace) -> int:
    from heliograph.pipeline import journal_tool as tool  # noqa: PLC0415 - heavy

    found = _journals(arguments)
    if isinstance(found, int):
        return found
    for each in found:
        print("\n".join(tool.verdict(each)))
    return FAILED if any(each.damaged for each in found) else OK


def _journal_replay(arguments: argparse.Namespace) -> int:
    from heliograph.errors import HeliographError  # noqa: PLC0415 - heavy
    from heliograph.pipeline import journal_tool as tool  # noqa: PLC0415 - heavy
    from heliograph.pipeline.journal_replay import replay  # noqa: PLC0415 - heavy

    found = _journals(arguments)
    if isinstance(found, int):
        return found
    status = OK
    try:
        for each, names in tool.choose(found, arguments.reader):
            sent = replay(each.directory, names, arguments.to, keep=arguments.keep, say=_say)
            print(
                f"{each.directory}: {_count(sent.delivered, 'batch')} delivered "
                f"({_count(sent.items, 'item')}), {sent.left} left"
            )
            if sent.stopped:
                _say(f"heliograph: stopped: {sent.stopped}")
            if sent.stopped or sent.rejected:
                status = FAILED
    except HeliographError as error:
        _say(f"heliograph: {error}")
        return FAILED
    return status


def _components(arguments: argparse.Namespace) -> int:
    import json  # noqa: PLC0415 - slow

    from heliograph.pipeline import listing  # noqa: PLC0415 - heavy
    from heliograph.pipeline.registry import Registry  # noqa: PLC0415 - heavy

    rows = listing.components(Registry())
    text = json.dumps(rows, indent=2) + "\n" if arguments.json else listing.component_table(rows)
    sys.stdout.write(text)
    return OK


def _schema(arguments: argparse.Namespace) -> int:
    del arguments
    import json  # noqa: PLC0415 - slow

    from heliograph.pipeline.config.schema import schema  # noqa: PLC0415 - heavy
    from heliograph.pipeline.registry import Registry  # noqa: PLC0415 - heavy

    print(json.dumps(schema(Registry()), indent=2))
    return OK


def _featuregate(arguments: argparse.Namespace) -> int:
    from heliograph.pipeline import listing  # noqa: PLC0415 - heavy

    text = listing.gate_table(arguments.id)
    if text is None:
        _say(f"heliograph: there is no feature gate '{arguments.id}'")
        return FAILED
    sys.stdout.write(text)
    return OK


def _say_problems(loader: Loader) -> None:
    from heliograph.pipeline.redaction import redact  # noqa: PLC0415 - heavy

    redact.hide(*loader.hidden())
    for problem in loader.warnings:
        _say(f"warning: {problem}")
    for problem in loader.problems:
        _say(str(problem))
    counts = [_count(len(loader.problems), "error"), _count(len(loader.warnings), "warning")]
    if loader.problems:
        _say(f"heliograph: {' and '.join(counts) if loader.warnings else counts[0]}")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 'es' if word.endswith('ch') else 's'}"


def _say(text: str) -> None:
    from heliograph.pipeline.redaction import redact  # noqa: PLC0415 - heavy

    print(redact(text), file=sys.stderr)
