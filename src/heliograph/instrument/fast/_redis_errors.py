"""What may be said of an error of Redis: its kind and its code, and no value of a command. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

_OF_A_PIPELINE = re.compile(r"Command # (\d+) \(.*\) of pipeline caused error: ", re.DOTALL)
_ARGUMENTS = re.compile(r"\((['\"])(.*)\1,?\)", re.DOTALL)
_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,}(?= |$)")
_QUOTED = re.compile(r"['\"`].*", re.DOTALL)
_SCRIPTS = ("EVAL", "FCALL")
"""Commands that begin so run programs, whose errors say what these want them to."""
_OF_THE_NETWORK = ("ConnectionError", "TimeoutError", "OSError")
_SURE = "WRONGTYPE Operation against a key holding the wrong kind of value"
_WORD = 4
"""Values of fewer characters are hidden where they are words of their own."""


_CONTAINERS = {
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY",
    "MODULE", "OBJECT", "PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO",
}  # fmt: skip
"""Commands whose name has a second word."""


def command_name(command: str) -> tuple[str, int]:
    """Return a command's name, and how many values follow it in the same text."""
    words = command.split()
    length = 2 if words and words[0].upper() in _CONTAINERS else 1
    return " ".join(words[:length]), len(words[length:])


def _split(command: Sequence[Any]) -> tuple[str, list[Any]]:
    name, more = command_name(str(command[0]))
    inside = str(command[0]).split()
    return name, [*inside[len(inside) - more :], *command[1:]]


def public_message(error: BaseException, commands: Sequence[Sequence[Any]]) -> str:
    """Return an error as text, with its class and with ``?`` in place of values.

    Args:
        commands: what was sent, each a name and its values; several for a pipeline.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error)
    where = ""
    annotated = _OF_A_PIPELINE.match(text)
    if annotated is not None:
        text = text[annotated.end() :]
        if quoted := _ARGUMENTS.fullmatch(text):  # as the asynchronous client has it
            text = quoted[2]
        number = int(annotated[1])
        if number <= len(commands):
            commands = [commands[number - 1]]
            shown = " ".join([_split(commands[0])[0], *["?"] * len(_split(commands[0])[1])])
            where = f"Command # {number} ({shown}) of pipeline caused error: "
    if names.isdisjoint(_OF_THE_NETWORK) and text != _SURE:
        text = _hidden(text, commands, is_data="DataError" in names)
    return f"{type(error).__name__}: {where}{text}".rstrip(": ")


def _hidden(text: str, commands: Sequence[Sequence[Any]], *, is_data: bool) -> str:
    if any(str(command[0]).upper().startswith(_SCRIPTS) for command in commands):
        code = _CODE.match(text)
        return code[0] if code else ""
    if not is_data:  # which quotes types
        text = _QUOTED.sub("?", text)
    for value in sorted(_values(commands, text), key=len, reverse=True):
        pattern = re.escape(value)
        text = re.sub(pattern if len(value) >= _WORD else rf"\b{pattern}\b", "?", text)
    return text


def _values(commands: Iterable[Sequence[Any]], text: str) -> set[str]:
    """Return the values that may be in a text."""
    found = (_text(value) for command in commands for value in _split(command)[1])
    return {value for value in found if value.strip() and value in text}


def _text(value: Any) -> str:
    is_bytes = isinstance(value, (bytes, bytearray))
    return bytes(value).decode("utf-8", "replace") if is_bytes else str(value)
