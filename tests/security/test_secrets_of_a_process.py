"""A running collector with a secret in every place, made to fail in every way it can: nothing that
it writes, answers or shows has the secret in it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
from processes import Collector

SECRET = "hunter2/pl+nted&\\7319"
FORMS = [
    SECRET,
    repr(SECRET)[1:-1],
    json.dumps(SECRET)[1:-1],
    quote(SECRET, safe=""),
    base64.b64encode(SECRET.encode()).decode().rstrip("="),
    base64.b64encode(f"user:{SECRET}".encode()).decode().rstrip("="),
    "hunter2",
]

FAULTY = '''
"""Leaks what it is told, in every way that a component can."""
import asyncio, json, logging, os, signal, threading, warnings
from heliograph.errors import Reject, Retry
from heliograph.otlp import Signal
from heliograph.pipeline.delivery import DeliveryConfig
from heliograph.pipeline.fields import Secret
from heliograph.testing import logs


class Config(DeliveryConfig):
    token: Secret
    fail_check: bool = False
    fail_start: bool = False
    fail_thread: bool = False

    def check(self):
        if self.fail_check:
            raise RuntimeError("check " + self.token.get_secret_value())
        yield from super().check()


class Held:
    def __init__(self, secret):
        self.secret = secret

    def __del__(self):
        raise RuntimeError("unraisable " + self.secret)


class Exporter:
    signals = frozenset({Signal.LOGS})

    def __init__(self, config, settings):
        self.config, self.settings = config, settings
        self.secret = config.token.get_secret_value()
        self.log = settings.log

    async def start(self):
        if self.config.fail_start:
            raise RuntimeError("start " + self.secret)
        secret, loop = self.secret, asyncio.get_running_loop()
        self.log.debug("debug %s %r %s", secret, self.config, json.dumps({"a": secret}))
        self.log.warning("newline\\nforged %s \\x1b[31m", secret)
        self.log.info("wrong number of arguments", secret)
        logging.getLogger("another.library").warning("other %s", secret)
        logging.getLogger("asyncio").error("Executing <Handle %r>", secret)
        threading.Thread(target=self.fail, args=("thread",), name="worker").start()
        loop.call_soon(self.fail, "callback")
        asyncio.ensure_future(self.failing())
        future = loop.create_future()
        future.set_exception(RuntimeError("never retrieved " + secret))
        del future
        Held(secret)

    def fail(self, how):
        raise RuntimeError(how + " " + self.secret)

    async def failing(self):
        self.fail("task")

    async def consume(self, batch):
        how = json.loads(batch.json())["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["body"]
        how = how["stringValue"]
        if how == "crash":
            raise KeyError("crash", self.secret)
        if how == "world":
            raise OSError("world " + self.secret)
        if how == "retry":
            raise Retry("retry " + self.secret)
        if how == "reject":
            raise Reject("reject http://user:" + self.secret + "@host/")
        if how == "abort":
            os.kill(os.getpid(), signal.SIGABRT)

    async def stop(self):
        raise RuntimeError("stop " + self.secret)
'''


def write(folder: Path, options: str = "", endpoint: str = "127.0.0.1:9") -> Path:
    (folder / "faulty.py").write_text(FAULTY)
    (folder / "token").write_text(SECRET)
    (folder / "htpasswd").write_text(f"ann:{SECRET}\n")
    path = folder / "collector.yaml"
    secret = json.dumps(SECRET)
    path.write_text(f"""
receivers:
  otlp:
    protocols:
      http: {{endpoint: "127.0.0.1:0", response_headers: {{x-key: {json.dumps("k-hunter2")}}}}}
exporters:
  faulty:
    token: {secret}
    retry_on_failure: {{enabled: false}}
    {options}
  otlphttp/gone:
    endpoint: "http://user:{quote(SECRET, safe="")}@{endpoint}"
    headers: {{x-api-key: "a hunter2", authorization: "Bearer ${{env:PLANTED}}"}}
    auth: {{authenticator: bearertokenauth}}
    retry_on_failure: {{enabled: false}}
  otlp/gone:
    endpoint: 127.0.0.1:9
    tls: {{insecure: true}}
    headers: {{x-api-key: "a hunter2"}}
    auth: {{authenticator: basicauth/client}}
    retry_on_failure: {{enabled: false}}
extensions:
  bearertokenauth: {{filename: {folder / "token"}}}
  basicauth/client: {{client_auth: {{username: user, password_file: {folder / "token"}}}}}
  basicauth/server: {{htpasswd: {{file: {folder / "htpasswd"}}}}}
  health_check: {{endpoint: "127.0.0.1:0"}}
service:
  components: [faulty.py]
  extensions: [bearertokenauth, basicauth/client, basicauth/server, health_check]
  telemetry: {{logs: {{level: debug, sampling: {{enabled: false}}}}}}
  pipelines:
    logs: {{receivers: [otlp], exporters: [faulty]}}
    traces: {{receivers: [otlp], exporters: [otlphttp/gone, otlp/gone]}}
""")
    return path


def clean(lines: list[str] | str) -> None:
    text = "\n".join(lines) if isinstance(lines, list) else lines
    for form in FORMS:
        assert form not in text, [line for line in text.splitlines() if form in line]


def post(address: str, path: str, body: dict[str, object]) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        headers = {"content-type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def log_record(body: str) -> dict[str, object]:
    records = [{"body": {"stringValue": body}}]
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}


SPAN = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": "a"}
TRACE: dict[str, object] = {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}


def address_of(collector: Collector, said: str) -> str:
    (line,) = [line for line in collector.err if said in line]
    return line.rpartition(" ")[2]


def ports_of(pid: int) -> set[int]:
    """The TCP ports that a process listens on."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
            inodes |= {link[8:-1]} if link.startswith("socket:") else set()
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1][-4:], 16) for row in rows if row[3] == "0A" and row[9] in inodes}


def test_everything_fails_and_nothing_shows(tmp_path: Path) -> None:
    env = {"PLANTED": SECRET, "PYTHONASYNCIODEBUG": "1"}
    with Collector(write(tmp_path), env=env) as collector:
        collector.until(lambda: collector.says("ready"))
        address = address_of(collector, "listens for OTLP/http on")
        answers = [
            post(address, "/v1/logs", log_record(how))
            for how in ("crash", "reject", "world", "retry")
        ]
        answers.append(post(address, "/v1/traces", TRACE))
        assert [status for status, _ in answers] == [500, 500, 503, 503, 503]
        (health,) = ports_of(collector.process.pid) - {int(address.rpartition(":")[2])}
        page = urllib.request.urlopen(f"http://127.0.0.1:{health}/").read().decode()
        assert "faulty" in page
        collector.signal()
        collector.wait()
    said = "\n".join(collector.err)
    for way in (
        "debug **********",
        "crash', '**********",
        "world **********",
        "reject http://**********@host/",
        "thread **********",
        "callback **********",
        "task **********",
        "never retrieved **********",
        "unraisable **********",
        "other **********",
        "Executing <Handle '**********'>",
        "stop **********",
        "a line of the log of heliograph.exporters.faulty could not be written: TypeError",
    ):
        assert way in said, way
    assert "retry **********" in answers[3][1]
    assert "\x1b" not in said
    assert not any(line.startswith("forged") for line in collector.err)
    clean(collector.err)
    clean(collector.out)
    clean(page)
    for _, answer in answers:
        clean(answer)


@pytest.mark.parametrize("options", ["fail_check: true", "fail_start: true", "tokn: x"])
def test_a_start_that_fails(tmp_path: Path, options: str) -> None:
    with Collector(write(tmp_path, options), env={"PLANTED": SECRET}) as collector:
        assert collector.wait() == 1
    assert collector.err
    clean(collector.err)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('http: {endpoint: "127.0.0.1:0"', 'http: {endpoint: "user:hunter2@127.0.0.1:0"'),
        ("tls: {insecure: true}", "tls: {ca_pem: hunter2-is-no-pem}"),
        ("tls: {insecure: true}", "tls: {cert_pem: hunter2, key_pem: '-----BEGIN hunter2'}"),
        (
            'x-api-key: "a hunter2"}\n    auth: {authenticator: basic',
            'x-api-key: "\\nhunter2"}\n    auth: {authenticator: basic',
        ),
        ("http: {", "http: {tls: {cert_pem: hunter2, key_pem: '-----BEGIN hunter2'}, "),
        ('x-key: "k-hunter2"', 'x-key: "\\nhunter2"'),
    ],
)
def test_native_parts_that_cannot_start(tmp_path: Path, old: str, new: str) -> None:
    path = write(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with Collector(path, env={"PLANTED": SECRET}) as collector:
        assert collector.wait() == 1
    assert re.search(r"collector\.yaml:\d+:\d+: ", "\n".join(collector.err)), collector.err
    clean(collector.err)


def test_a_token_file_that_is_no_text(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "token").write_bytes(b"hunter2\xff")
    with Collector(path, env={"PLANTED": SECRET}) as collector:
        assert collector.wait() == 1
    assert collector.says("cannot be read: is not UTF-8 text")
    clean(collector.err)


def test_a_fatal_signal_shows_where_and_not_what(tmp_path: Path) -> None:
    with Collector(write(tmp_path), env={"PLANTED": SECRET}) as collector:
        collector.until(lambda: collector.says("ready"))
        address = address_of(collector, "listens for OTLP/http on")
        with pytest.raises((OSError, http.client.HTTPException)):
            post(address, "/v1/logs", log_record("abort"))
        assert collector.wait() == -signal.SIGABRT
    assert collector.says("Fatal Python error: Aborted")
    assert any("faulty.py" in line for line in collector.err)
    clean(collector.err)


def test_a_closed_socket_of_a_backend(tmp_path: Path) -> None:
    """A backend that reads the request and repeats it in its answer."""
    with socket.create_server(("127.0.0.1", 0)) as backend:
        path = write(tmp_path, endpoint=f"127.0.0.1:{backend.getsockname()[1]}")
        path.write_text(path.read_text().replace("[otlphttp/gone, otlp/gone]", "[otlphttp/gone]"))
        with Collector(path, env={"PLANTED": SECRET}) as collector:
            collector.until(lambda: collector.says("ready"))
            address = address_of(collector, "listens for OTLP/http on")
            sender = http.client.HTTPConnection(address, timeout=20)
            sender.request(
                "POST", "/v1/traces", json.dumps(TRACE), {"content-type": "application/json"}
            )
            connection, _ = backend.accept()
            request = connection.recv(65536)
            assert b"hunter2" in request
            echo = request.partition(b"\r\n\r\n")[0].replace(b"\r\n", b" ")
            connection.sendall(
                b"HTTP/1.1 400 Bad\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%s"
                % (len(echo), echo)
            )
            answer = sender.getresponse().read().decode()
            sender.close()
            connection.close()
            collector.signal()
            collector.wait()
    assert collector.says("the other side rejected 1 items")
    clean(collector.err)
    clean(answer)
