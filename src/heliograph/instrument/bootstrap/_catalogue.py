"""Which package of contrib is for which library.

Source: `bootstrap_gen.py` of opentelemetry-instrumentation 0.66b2, without versions: what exists
is the index's to say. Not taken over: `pydantic` as a reason for Tortoise ORM.
"""

from typing import NamedTuple

PREFIX = "opentelemetry-instrumentation-"


class Contrib(NamedTuple):
    """A package, the libraries that it is for (any of them), and its names in ``OTEL_PYTHON_*``.

    Without a library it is for the standard library. No names: that of the package.
    """

    suffix: str
    libraries: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def package(self) -> str:
        return PREFIX + self.suffix

    @property
    def known_as(self) -> tuple[str, ...]:
        return self.names or (self.suffix,)


CATALOGUE = (
    Contrib("aio-pika", ("aio_pika >= 7.2.0, < 11.0.0",)),
    Contrib("aiohttp-client", ("aiohttp ~= 3.0",)),
    Contrib("aiohttp-server", ("aiohttp ~= 3.0",)),
    Contrib("aiokafka", ("aiokafka >= 0.8, < 1.0",)),
    Contrib("aiopg", ("aiopg >= 0.13.0, < 2.0.0",)),
    Contrib("asyncclick", ("asyncclick ~= 8.0",)),
    Contrib("asyncio"),
    Contrib("asyncpg", ("asyncpg >= 0.12.0",)),
    Contrib("boto3sqs", ("boto3 ~= 1.0",), ("boto3",)),
    Contrib("botocore", ("botocore ~= 1.0", "aiobotocore >= 2.0, < 4.0")),
    Contrib("cassandra", ("cassandra-driver ~= 3.25", "scylla-driver ~= 3.25")),
    Contrib("celery", ("celery >= 4.0, < 6.0",)),
    Contrib("click", ("click >= 8.1.3, < 9.0.0",)),
    Contrib("confluent-kafka", ("confluent-kafka >= 1.8.2, < 3.0.0",), ("confluent_kafka",)),
    Contrib("django", ("django >= 2.0",)),
    Contrib("falcon", ("falcon >= 1.4.1, < 5.0.0",)),
    Contrib("fastapi", ("fastapi ~= 0.92",)),
    Contrib("flask", ("flask >= 1.0",)),
    Contrib("genai-anthropic", ("anthropic >= 0.51.0, < 3",), ("anthropic",)),
    Contrib("genai-langchain", ("langchain >= 0.3.22, < 2",), ("langchain",)),
    Contrib("genai-openai", ("openai >= 1.26.0, < 4",), ("openai",)),
    Contrib("genai-openai-agents", ("openai-agents >= 0.3.3, < 1",), ("openai_agents",)),
    Contrib("google-genai", ("google-genai >= 1.32.0, < 3",)),
    Contrib(
        "grpc",
        ("grpcio >= 1.42.0",),
        ("grpc_client", "grpc_server", "grpc_aio_client", "grpc_aio_server"),
    ),
    Contrib("httpx", ("httpx >= 0.18.0",)),
    Contrib("jinja2", ("jinja2 >= 2.7, < 4.0",)),
    Contrib("kafka-python", ("kafka-python >= 2.0, < 4.0",), ("kafka",)),
    Contrib("mysql", ("mysql-connector-python >= 8.0",)),
    Contrib("mysqlclient", ("mysqlclient < 3",)),
    Contrib("pika", ("pika >= 0.12.0",)),
    Contrib("psycopg", ("psycopg >= 3.1.0",)),
    Contrib("psycopg2", ("psycopg2 >= 2.7.3.1", "psycopg2-binary >= 2.7.3.1")),
    Contrib("pymemcache", ("pymemcache >= 1.3.5, < 5",)),
    Contrib("pymongo", ("pymongo >= 3.1, < 5.0",)),
    Contrib("pymssql", ("pymssql >= 2.1.5, < 3",)),
    Contrib("pymysql", ("PyMySQL < 2",)),
    Contrib("pyramid", ("pyramid >= 1.7",)),
    Contrib("redis", ("redis >= 2.6",)),
    Contrib("remoulade", ("remoulade >= 0.50",)),
    Contrib("requests", ("requests ~= 2.0",)),
    Contrib("sqlalchemy", ("sqlalchemy >= 1.0.0, < 2.1.0",)),
    Contrib("sqlite3"),
    Contrib("starlette", ("starlette >= 0.13",)),
    Contrib("structlog", ("structlog >= 21.1",)),
    Contrib("system-metrics", ("psutil >= 5.9.0, < 8",), ("system_metrics",)),
    Contrib("threading"),
    Contrib("tornado", ("tornado >= 5.1.1",)),
    Contrib("tortoiseorm", ("tortoise-orm >= 0.17.0",)),
    Contrib("urllib"),
    Contrib("urllib3", ("urllib3 >= 1.0.0, < 3.0.0",)),
)
