"""Every command of ``heliograph``."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliograph.pipeline.config.load import Loader

OK = 0
FAILED = 1
USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0 done, 1 failed, 2 no such command."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.run is None:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        command: Callable[[argparse.Namespace], int] = arguments.run
        return command(arguments)
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    except Exception as error:
        from heliograph.pipeline.redaction import crash  # noqa: PLC0415 - heavy

        sys.stderr.write(crash(error))
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("heliograph", description="OpenTelemetry in one package.")
    parser.add_argument(
        "--version", action="version", version=f"heliograph {version('heliograph')}"
    )
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _collector(commands.add_parser("collector", help="receive, process and export telemetry"))
    return parser


def _collector(parser: argparse.ArgumentParser) -> None:
    parser.description = "Receive, process and export telemetry, as a configuration says."
    parser.add_argument(
        "--version", action="version", version=f"heliograph {version('heliograph')}"
    )
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
    printing.add_argument("--validate", action=argparse.BooleanOptionalAction, default=True)
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
    components = commands.add_parser("components", help="list what a configuration can name")
    components.set_defaults(run=_components)
    components.add_argument("--json", action="store_true", help="for programs")
    schema = commands.add_parser("schema", help="print a JSON Schema for editors")
    schema.set_defaults(run=_schema)
    gates = commands.add_parser("featuregate", help="list the feature gates, or one")
    gates.set_defaults(run=_featuregate)
    gates.add_argument("id", nargs="?")


def _version_option(parser: argparse.ArgumentParser) -> None:
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


def _loader(arguments: argparse.Namespace) -> "Loader | None":
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


def _components(arguments: argparse.Namespace) -> int:
    from heliograph.pipeline import listing  # noqa: PLC0415 - heavy
    from heliograph.pipeline.registry import Registry  # noqa: PLC0415 - heavy

    rows = listing.components(Registry())
    text = json.dumps(rows, indent=2) + "\n" if arguments.json else listing.component_table(rows)
    sys.stdout.write(text)
    return OK


def _schema(arguments: argparse.Namespace) -> int:
    del arguments
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


def _say_problems(loader: "Loader") -> None:
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
    return f"{number} {word}{'' if number == 1 else 's'}"


def _say(text: str) -> None:
    from heliograph.pipeline.redaction import redact  # noqa: PLC0415 - heavy

    print(redact(text), file=sys.stderr)
