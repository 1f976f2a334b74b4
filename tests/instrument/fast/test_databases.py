"""Statements of SQLAlchemy, sqlite3, psycopg and redis: one span and one measurement each."""

import asyncio
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from heliograph.instrument.fast._sql import described

from .conftest import Recorded, attributes

STATEMENTS = [
    ("SELECT * FROM users WHERE id = 5 AND name = 'O''Brien' AND x IN (1, 2, 3)",
     "SELECT users", "users",
     "SELECT * FROM users WHERE id = ? AND name = ? AND x IN (?)"),
    ("insert into orders (a, b) values (?, %s)",
     "INSERT orders", "orders", "insert into orders (a, b) values (?, %s)"),
    ("SELECT o.id FROM orders o JOIN items i ON o.id = i.o WHERE i.k = $1",
     "SELECT orders items", None,
     "SELECT o.id FROM orders o JOIN items i ON o.id = i.o WHERE i.k = $1"),
    ('select "a1" from "odd table" where x = :p1',
     "SELECT odd table", "odd table", 'select "a1" from "odd table" where x = :p1'),
    ("CREATE TABLE IF NOT EXISTS t1 (id int)", "CREATE t1", "t1",
     "CREATE TABLE IF NOT EXISTS t1 (id int)"),
    ("UPDATE t SET a = 1.5e3 WHERE b = -2", "UPDATE t", "t", "UPDATE t SET a = ? WHERE b = ?"),
    ("/* hi */ DELETE FROM x.y WHERE z = 0xFF -- bye", "DELETE x.y", "x.y",
     "/* hi */ DELETE FROM x.y WHERE z = ? -- bye"),
    ("insert into t select * from u", "INSERT t SELECT u", None, "insert into t select * from u"),
    ("select $$a 'b' $$ from t2", "SELECT t2", "t2", "select ? from t2"),
    ("copy t (a) from stdin", "COPY t", "t", "copy t (a) from stdin"),
    ("copy (select a from t) to stdout", "COPY SELECT t", "t", "copy (select a from t) to stdout"),
    ("SELECT 1", "SELECT", None, "SELECT ?"),
    ("", "", None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "summary", "collection", "text"), STATEMENTS)
def test_statements_are_described_without_their_values(
    statement: str, summary: str, collection: str | None, text: str
) -> None:
    found = described(statement)
    assert (found.summary, found.collection, found.text) == (summary, collection, text)


def test_sqlite_through_cursor_and_connection(recorded: Recorded) -> None:
    recorded.instrument("sqlite3", sqlite3)
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (a int)")
    connection.executemany("insert into t values (?)", [(1,), (2,)])
    assert connection.cursor().execute("select a from t").fetchall() == [(1,), (2,)]
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("select * from nope")
    connection.close()
    spans = recorded.spans()
    assert [span.name for span in spans] == ["CREATE t", "INSERT t", "SELECT t", "SELECT nope"]
    assert all(span.kind is SpanKind.CLIENT for span in spans)
    assert attributes(spans[2]) == {
        "db.system.name": "sqlite",
        "db.namespace": ":memory:",
        "db.operation.name": "SELECT",
        "db.collection.name": "t",
        "db.query.summary": "SELECT t",
        "db.query.text": "select a from t",
    }
    assert spans[3].status.status_code is StatusCode.ERROR
    assert attributes(spans[3])["error.type"] == "sqlite3.OperationalError"
    labels = [labels for labels, _ in recorded.points("db.client.operation.duration")]
    assert {found["db.query.summary"] for found in labels} == {span.name for span in spans}
    assert not any("db.query.text" in found for found in labels)


def test_sqlite_with_a_class_of_the_users(recorded: Recorded) -> None:
    recorded.instrument("sqlite3", sqlite3)

    class Mine(sqlite3.Connection):
        pass

    connection = sqlite3.connect(":memory:", factory=Mine)
    assert isinstance(connection, Mine)
    connection.execute("select 1")
    connection.close()
    assert len(recorded.spans()) == 1


def test_sqlalchemy_is_one_span_a_statement(recorded: Recorded, tmp_path: Path) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    early = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/early.db")
    recorded.instrument("sqlite3", sqlite3)
    recorded.instrument("sqlalchemy", sqlalchemy)
    late = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/late.db")
    text = sqlalchemy.text
    for engine in (early, late):
        with engine.begin() as connection:
            connection.execute(text("create table u (a int)"))
            connection.execute(text("insert into u values (:a)"), [{"a": 1}, {"a": 2}])
        with engine.connect() as connection:
            assert connection.execute(text("select a from u")).fetchall() == [(1,), (2,)]
            with pytest.raises(sqlalchemy.exc.OperationalError):
                connection.execute(text("select * from nope"))
        spans = recorded.spans()
        assert [span.name for span in spans] == ["CREATE u", "INSERT u", "SELECT u", "SELECT nope"]
        assert {span.instrumentation_scope.name for span in spans} == {
            "heliograph.instrument.sqlalchemy"
        }
        assert attributes(spans[1])["db.operation.batch.size"] == 2
        assert attributes(spans[3])["error.type"] == "sqlite3.OperationalError"
    with late.connect() as connection:
        states = {
            (labels["db.client.connection.pool.name"][-7:], labels["db.client.connection.state"]): (
                point.value
            )
            for labels, point in recorded.points("db.client.connection.count")
        }
    assert states[("late.db", "used")] == 1
    early.dispose()
    late.dispose()
    recorded.undo()
    with late.connect() as connection:
        connection.execute(text("select 1"))
    assert recorded.spans() == []
    late.dispose()


@pytest.fixture
def redis_port() -> Iterator[int]:
    import shutil
    import socket
    import time

    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("needs redis-server (Debian's package)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [server, "--port", str(port), "--save", ""], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    yield port
    process.terminate()
    process.wait()


def test_redis_commands_and_pipelines(recorded: Recorded, redis_port: int) -> None:
    redis = pytest.importorskip("redis")
    recorded.instrument("redis", redis)
    client = redis.Redis(port=redis_port)
    client.set("key", "secret")
    pipeline = client.pipeline()
    pipeline.set("x", 1)
    pipeline.get("x")
    pipeline.execute()
    with pytest.raises(redis.ResponseError):
        client.execute_command("NOPE")

    async def main() -> None:
        asynchronous = redis.asyncio.Redis(port=redis_port)
        await asynchronous.get("key")
        waiting = asynchronous.pipeline()
        waiting.get("x")
        waiting.get("x")
        await waiting.execute()
        await asynchronous.aclose()

    asyncio.run(main())
    client.close()
    spans = recorded.spans()
    assert [span.name for span in spans] == ["SET", "PIPELINE", "NOPE", "GET", "PIPELINE GET"]
    assert attributes(spans[0]) == {
        "db.system.name": "redis",
        "db.namespace": "0",
        "server.address": "localhost",
        "server.port": redis_port,
        "db.operation.name": "SET",
        "db.query.summary": "SET",
        "db.query.text": "SET ? ?",
    }
    assert attributes(spans[1])["db.query.text"] == "SET ? ?\nGET ?"
    assert attributes(spans[1])["db.operation.batch.size"] == 2
    assert spans[2].status.status_code is StatusCode.ERROR


def test_no_value_leaves_with_an_error_of_redis(recorded: Recorded, redis_port: int) -> None:
    redis = pytest.importorskip("redis")
    recorded.instrument("redis", redis)
    client = redis.Redis(port=redis_port)
    client.set("the-key", "secret")

    def fail(pipeline: Any) -> Any:
        pipeline.set("other", "secret")
        pipeline.lpush("the-key", "secret")
        return pipeline.execute()

    script = "return redis.error_reply('MINE ' .. string.upper(ARGV[1]))"
    for wrong in (
        lambda: fail(client.pipeline()),
        lambda: fail(client.pipeline(transaction=False)),
        lambda: client.execute_command("NOPE", "secret"),
        lambda: client.execute_command("LPUSH the-key secret"),
        lambda: client.eval(script, 0, "secret"),
    ):
        with pytest.raises(redis.ResponseError):
            wrong()

    async def main() -> None:
        asynchronous = redis.asyncio.Redis(port=redis_port)
        with pytest.raises(redis.ResponseError):
            await fail(asynchronous.pipeline())
        await asynchronous.aclose()

    asyncio.run(main())
    client.close()
    _, *spans = recorded.spans()
    told = [
        f"{span.name} {span.status.description} {span.events} {span.attributes}" for span in spans
    ]
    assert not any("secret" in text.lower() or "the-key" in text for text in told), told
    kind = "WRONGTYPE Operation against a key holding the wrong kind of value"
    of_pipeline = f"ResponseError: Command # 2 (LPUSH ? ?) of pipeline caused error: {kind}"
    assert [span.status.description for span in spans] == [
        of_pipeline,
        of_pipeline,
        "ResponseError: unknown command ?",
        f"ResponseError: {kind}",
        "ResponseError: MINE",
        of_pipeline,
    ]
    assert {attributes(span)["error.type"] for span in spans} == {"redis.exceptions.ResponseError"}


def test_a_brokers_traffic_makes_no_spans(recorded: Recorded, redis_port: int) -> None:
    redis = pytest.importorskip("redis")
    recorded.instrument("redis", redis)

    kombu: dict[str, Any] = {"__name__": "kombu.transport.redis", "redis": redis}
    exec("def pool(**options):\n return redis.ConnectionPool(**options)", kombu)
    pool = kombu["pool"](port=redis_port)
    client = redis.Redis(connection_pool=pool)
    client.set("a", 1)
    client.close()
    assert recorded.spans() == []


Pairs = list[tuple[str, Any]]
