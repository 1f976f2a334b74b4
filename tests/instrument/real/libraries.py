"""What each library's program is expected to record."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Library:
    """One program, ``programs/use_NAME.py``.

    ``spans`` are trees as `trees` makes them, ``attributes`` some of those that the spans of a
    name must have, in the order of their beginnings, ``metrics`` some of the names, ``logs`` all
    bodies, unless None.
    """

    spans: list[Any]
    attributes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    metrics: set[str] = field(default_factory=set)
    server: str | None = None
    logs: list[str] | None = None


MYSQL = Library(
    server="mariadb",
    spans=["CLIENT select", "CLIENT select"],
    attributes={
        "select": [
            {"db.system.name": "mysql", "db.namespace": "test", "db.query.text": "select %s"},
            {"db.query.text": "select * from nothing"},
        ]
    },
    metrics={"db.client.operation.duration"},
)
MODEL = {"gen_ai.request.model": "model-1", "gen_ai.usage.output_tokens": "7"}
MODELS = {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}
CHAT = Library(
    spans=[("CLIENT chat model-1", ["CLIENT POST"])],
    attributes={"chat model-1": [MODEL]},
    metrics=MODELS,
)
RPC = {"rpc.system": "grpc", "rpc.service": "shop.Orders", "rpc.method": "Take"}
CALL = ("CLIENT /shop.Orders/Take", ["SERVER /shop.Orders/Take"])

LIBRARIES = {
    # Ours.
    "psycopg": Library(
        server="postgres",
        spans=[
            f"CLIENT {name}"
            for name in (
                *("DROP things", "CREATE things", "INSERT things", "COPY things"),
                *("SELECT things", "SELECT things", "SELECT things"),
                *("SELECT things", "UPDATE things", "SELECT things"),
                *("DELETE things", "INSERT things", "COPY things", "SELECT things"),
                *("SELECT", "SELECT things"),
            )
        ],
        attributes={
            "INSERT things": [{"db.operation.name": "BATCH INSERT", "db.operation.batch.size": "2"}]
            * 2,
            "COPY things": [
                {"db.query.text": "copy things from stdin", "db.collection.name": "things"},
                {"db.query.text": "copy things to stdout"},
            ],
            "SELECT things": [
                {"db.query.text": 'select name from "things" where number = ?'},
                {"db.query.text": "select number from things"},
                {
                    "error.type": "psycopg.errors.UndefinedColumn",
                    "db.response.status_code": "42703",
                },
            ],
            "SELECT": [{"db.response.status_code": "22012", "db.query.text": "select ? / ?"}],
        },
        metrics={"db.client.operation.duration"},
    ),
    "sqlalchemy_asyncio": Library(
        server="postgres",
        # By psycopg, which is ours, and by asyncpg, which is contrib's and asked to make none.
        spans=[
            f"CLIENT {name}"
            for name in ("SELECT", "CREATE things", "SAVEPOINT", "INSERT things", "RELEASE")
        ]
        * 2,
        attributes={"SELECT": [{"db.system.name": "postgresql", "db.query.text": "select ?"}] * 2},
        metrics={"db.client.operation.duration", "db.client.connection.count"},
    ),
    "aiosqlite": Library(spans=["CLIENT SELECT", ("INTERNAL outside", ["CLIENT SELECT"])]),
    "redis": Library(
        server="redis",
        spans=[
            f"CLIENT {name}"
            for name in (
                *("SET", "GET", "PIPELINE SET", "WATCH", "GET", "PIPELINE SET"),
                *("EVALSHA", "SCRIPT LOAD", "EVALSHA", "LPUSH", "PIPELINE LPUSH"),
                *("SET", "PIPELINE", "LPUSH", "PING"),
            )
        ],
        attributes={
            "SET": [{"db.system.name": "redis", "db.namespace": "3", "db.query.text": "SET ? ?"}],
            "PIPELINE SET": [{"db.query.text": "SET ? ?\nSET ? ?", "db.operation.batch.size": "2"}],
            "PIPELINE": [{"db.query.text": "GET ?\nEXISTS ?"}],
            "LPUSH": [{"error.type": "redis.exceptions.ResponseError"}] * 2,
            "PIPELINE LPUSH": [{"error.type": "redis.exceptions.ResponseError"}],
            "PING": [{"error.type": "redis.exceptions.ConnectionError", "server.port": "1"}],
        },
        metrics={"db.client.operation.duration"},
    ),
    # Contrib's.
    "aiohttp": Library(
        spans=[("CLIENT GET", ["SERVER GET /hello/{name}"])],
        attributes={
            "GET": [{"http.request.method": "GET", "http.response.status_code": "200"}],
            "GET /hello/{name}": [{"http.route": "/hello/{name}", "url.path": "/hello/you"}],
        },
        metrics={"http.client.request.duration", "http.server.request.duration"},
    ),
    "urllib": Library(
        spans=["CLIENT GET"],
        attributes={"GET": [{"http.response.status_code": "204"}]},
        metrics={"http.client.request.duration"},
    ),
    "pymysql": MYSQL,
    "mysqlclient": MYSQL,
    "asyncpg": Library(
        server="postgres",
        spans=["CLIENT select"],
        attributes={
            "select": [{"db.system.name": "postgresql", "db.query.text": "select $1::int"}]
        },
    ),
    "pymongo": Library(
        server="mongodb",
        # FerretDB does not know the last of them, which the client says when it is closed.
        spans=["CLIENT shop.insert", "CLIENT shop.find", "CLIENT admin.endSessions"],
        attributes={
            "shop.find": [{"db.system.name": "mongodb", "db.collection.name": "things"}],
        },
    ),
    "celery": Library(
        server="redis",
        # Nothing of what is said to the broker.
        spans=[
            ("PRODUCER apply_async/worker.ship", [("CONSUMER run/worker.ship", ["CLIENT SET"])])
        ],
        attributes={"run/worker.ship": [{"celery.state": "SUCCESS", "celery.action": "run"}]},
        metrics={"flower.task.runtime.seconds"},
    ),
    "confluent_kafka": Library(
        server="kafka",
        # "recv" spans are its way to say that it asked, once for each poll.
        spans=["PRODUCER confluent send", ("CONSUMER recv", ["CONSUMER confluent process"])],
        attributes={
            "confluent process": [
                {"messaging.system": "kafka", "messaging.message.id": "confluent.0.0"}
            ]
        },
    ),
    "kafka_python": Library(
        server="kafka",
        spans=[("PRODUCER plain send", ["CONSUMER plain receive"])],
        attributes={"plain send": [{"messaging.system": "kafka"}]},
    ),
    "aiokafka": Library(
        server="kafka",
        spans=[("PRODUCER later send", ["CONSUMER later receive"])],
        attributes={"later receive": [{"messaging.message.id": "later.0.0"}]},
    ),
    "pika": Library(
        server="rabbitmq",
        # It patches the blocking channel and the one beneath.
        spans=[("PRODUCER orders send", [("PRODUCER orders send", ["CONSUMER orders receive"])])],
        attributes={"orders receive": [{"messaging.system": "rabbitmq"}]},
    ),
    "boto3": Library(
        server="aws",
        spans=[
            "CLIENT SQS.CreateQueue",
            ("PRODUCER orders send", ["CLIENT SQS.SendMessage"]),
            ("CONSUMER orders receive", ["CLIENT SQS.ReceiveMessage", "CONSUMER orders process"]),
            "CLIENT SQS.DeleteMessage",
        ],
        attributes={"orders process": [{"messaging.system": "aws.sqs"}]},
    ),
    "grpc": Library(spans=[CALL, CALL], attributes={"/shop.Orders/Take": [RPC] * 4}),
    "logging": Library(spans=["INTERNAL selling"], logs=["only 3 left"]),
    "threading": Library(
        spans=[
            (
                "INTERNAL outside",
                ["INTERNAL in a thread", "INTERNAL in a pool", "INTERNAL by a timer"],
            )
        ],
    ),
    "system_metrics": Library(
        spans=[],
        metrics={"sold", "process.memory.usage", "process.cpu.time", "cpython.gc.collections"},
    ),
    "asyncio": Library(spans=[], metrics={"asyncio.process.created", "asyncio.process.duration"}),
    # Services of models, which a program on loopback stands in for: they cost money and keys.
    "openai": Library(
        spans=[("CLIENT chat model-1", ["CLIENT POST"])],
        attributes={"chat model-1": [MODEL]},
        metrics=MODELS,
    ),
    "anthropic": Library(
        # The inner one is the library's own.
        spans=[("CLIENT chat model-1", [("CLIENT anthropic.messages.create", ["CLIENT POST"])])],
        attributes={"chat model-1": [MODEL]},
        metrics=MODELS,
    ),
    "google_genai": Library(
        spans=[("CLIENT generate_content model-1", ["CLIENT POST"])],
        attributes={"generate_content model-1": [MODEL]},
        metrics=MODELS,
    ),
    "langchain": Library(
        spans=[("CLIENT chat model-1", ["CLIENT POST"])],
        attributes={"chat model-1": [MODEL]},
        metrics=MODELS,
    ),
    "openai_agents": Library(
        spans=[
            (
                "INTERNAL invoke_workflow Agent workflow",
                [("INTERNAL invoke_agent helper", [("CLIENT chat model-1", ["CLIENT POST"])])],
            )
        ],
        attributes={"chat model-1": [MODEL]},
        metrics=MODELS | {"gen_ai.invoke_agent.duration"},
    ),
}
