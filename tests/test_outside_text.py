"""What Python reads from outside: whatever comes, an answer or an error of its own, nothing else.

The native parsers are fuzzed in fuzz/, configurations in pipeline/config/test_config_fuzz.py.
"""

import asyncio
import contextlib
import logging
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from heliograph.errors import Reject
from heliograph.exporters._prometheus.negotiate import Style, negotiate
from heliograph.extensions.basicauth import Htpasswd, _credentials, _Users
from heliograph.pipeline.http import BadRequest, Limits, Request, Response, Server, accepts
from heliograph.pipeline.http import parse_head as parse
from heliograph.pipeline.net import parse_endpoint

REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a/b?c=d HTTP/1.0\r\nConnection: keep-alive\r\nAccept-Encoding: gzip;q=0\r\n\r\n",
    b"HEAD /%ff%00 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: zstd, gzip\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: " + 5000 * b"9" + b"\r\n\r\n",
]
BITS = [
    b"\r\n", b"\n", b"\r\n\r\n", b"\x00", b"\xff", b" ", b":", b"%", b"Content-Length: ", b"-1",
    b"Transfer-Encoding: x\r\n", b"http://", b"/", b"?", b"HTTP/1.1", b"\xc3\xa9", b",",
]  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    data = b"".join(chance.choice(REQUESTS) for _ in range(chance.randint(1, 3)))
    for _ in range(chance.randint(0, 4)):
        at, to = sorted(chance.randint(0, len(data)) for _ in range(2))
        to = min(to, at + 20)
        bit = chance.choice(BITS)
        data = chance.choice([data[:at] + bit + data[at:], data[:at] + data[to:], data[:to]])
    return data


async def page(request: Request) -> Response:
    return Response(body=request.path.encode(errors="replace") * 50)


@pytest.mark.parametrize("seed", range(4))
async def test_the_page_server_survives_any_request(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(seed)
    server = Server(page, logging.getLogger("test.pages"), Limits(head=5, idle=5))
    await server.start("127.0.0.1", 0)
    for _ in range(100):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        data = mutated(chance)
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            writer.write_eof()
            async with asyncio.timeout(10):
                answer = await reader.read()
            assert not answer or answer.startswith(b"HTTP/1.1 "), data
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    await server.stop()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_heads(head: bytes) -> None:
    try:
        _, version = parse(head)
    except BadRequest:
        return
    assert version in ("HTTP/1.0", "HTTP/1.1")


ACCEPT = "abgz;=,q. /*0123456789-+\t\"'"


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(ACCEPT) | st.characters(), max_size=60))
def test_negotiation(header: str) -> None:
    assert isinstance(negotiate(header), Style)
    assert accepts(header, "gzip") in (True, False)


PREFERENCES = st.lists(
    st.tuples(
        st.sampled_from(["text/plain", "application/openmetrics-text", "application/*", "*/*", ""]),
        st.lists(
            st.tuples(
                st.sampled_from(["q", "version", "escaping", "proto", ""]), st.text(max_size=6)
            ),
            max_size=3,
        ),
    ),
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(PREFERENCES)
def test_negotiation_of_clauses(clauses: list[tuple[str, list[tuple[str, str]]]]) -> None:
    parts = [";".join([kind, *(f"{k}={v}" for k, v in pairs)]) for kind, pairs in clauses]
    assert isinstance(negotiate(",".join(parts)), Style)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.text(st.sampled_from("QWxhZGRpbg=:\n "), max_size=40))
def test_credentials(header: str) -> None:
    for text in (header, f"Basic {header}"):
        with contextlib.suppress(Reject):
            _credentials(text)


@pytest.mark.parametrize("password", ["\0", "x" * 100, "x" * 5000, "é"])
async def test_passwords_that_no_hash_takes_are_wrong(password: str) -> None:
    hashed = "$2y$04$abcdefghijklmnopqrstuuO5bTqCpVW0bSxT0mZ5Q8eEoKX0QnqK6"
    users = _Users(
        Htpasswd(inline=SecretStr(f"a:{hashed}\nb:plain")), logging.getLogger("heliograph")
    )
    for user in ("a", "b", "nobody", "x" * 300, "line\nfeed"):
        assert not await users.check(user, password)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.text(st.sampled_from("[]:/.abfux0123456789%-"), max_size=40))
def test_endpoints(endpoint: str) -> None:
    with contextlib.suppress(ValueError):
        parse_endpoint(endpoint)
