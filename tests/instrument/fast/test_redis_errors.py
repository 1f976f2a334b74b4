"""What is said of errors of Redis: their kind, and no value of a command."""

import pytest
from redis import exceptions

from heliograph.instrument.fast._redis_errors import command_name, public_message

WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def pipelined(command: str, said: str, number: int = 2) -> str:
    return f"Command # {number} ({command}) of pipeline caused error: {said}"


MESSAGES = [
    (exceptions.ResponseError(WRONGTYPE), [("LPUSH", "key", "secret")],
     f"ResponseError: {WRONGTYPE}"),
    (exceptions.ResponseError(pipelined("LPUSH key secret", WRONGTYPE)),
     [("SET", "key", "secret"), ("LPUSH", "key", "secret")],
     f"ResponseError: Command # 2 (LPUSH ? ?) of pipeline caused error: {WRONGTYPE}"),
    (exceptions.ResponseError(pipelined("SET a b) of pipeline caused error: secret", "no", 1)),
     [("SET", "a", "b) of pipeline caused error: secret")],
     "ResponseError: Command # 1 (SET ? ?) of pipeline caused error: no"),
    (exceptions.ResponseError("unknown command 'NOPE', with args beginning with: 'it's' 'secret'"),
     [("NOPE", "it's", "secret")],
     "ResponseError: unknown command ?"),
    (exceptions.ResponseError("user_script:1: refused: SECRET"), [("EVALSHA", "ab", 0, "secret")],
     "ResponseError"),
    (exceptions.ResponseError("LIMIT refused: SECRET"), [("EVAL", "ab", 0, "secret")],
     "ResponseError: LIMIT"),
    (exceptions.ResponseError("no such thing as secret, 7 of them"), [("X", b"secret", 7)],
     "ResponseError: no such thing as ?, ? of them"),
    (exceptions.ResponseError("bad secret"), [("SET key secret",)], "ResponseError: bad ?"),
    (exceptions.DataError("Invalid input of type: 'NoneType'. Convert to bytes"), [("SET", "k")],
     "DataError: Invalid input of type: 'NoneType'. Convert to bytes"),
    (exceptions.ConnectionError("Error 111 connecting to localhost:1."), [("SET", "k", 1)],
     "ConnectionError: Error 111 connecting to localhost:1."),
    (exceptions.InvalidResponse("Protocol Error: b'secret'"), [("GET", "k")],
     "InvalidResponse: Protocol Error: b?"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "commands", "said"), MESSAGES)
def test_messages_have_no_values(
    error: Exception, commands: list[tuple[object]], said: str
) -> None:
    assert public_message(error, commands) == said


@pytest.mark.parametrize(
    ("text", "name", "more"),
    [
        ("SET", "SET", 0),
        ("SCRIPT LOAD", "SCRIPT LOAD", 0),
        ("set key secret", "set", 2),
        ("", "", 0),
    ],
)
def test_names(text: str, name: str, more: int) -> None:
    assert command_name(text) == (name, more)
