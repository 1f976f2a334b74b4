import asyncio
import os
from contextlib import suppress

import psycopg
from psycopg import sql

WHERE = f"host=127.0.0.1 port={os.environ['POSTGRES']} user=app dbname=postgres"


def synchronous() -> None:
    with psycopg.connect(WHERE, autocommit=True) as connection:
        connection.execute("drop table if exists things")
        connection.execute("create table things (number int, name text)")
        cursor = connection.cursor()
        cursor.executemany("insert into things values (%s, %s)", [(1, "a"), (2, "b")])
        with cursor.copy("copy things from stdin") as copy:
            copy.write_row((3, "c"))
        query = sql.SQL("select name from {} where number = 3").format(sql.Identifier("things"))
        assert cursor.execute(query).fetchone() == ("c",)
        assert sum(1 for _ in cursor.stream("select number from things")) == 3
        with suppress(psycopg.errors.UndefinedColumn):
            cursor.execute("select nothing from things")
        with connection.pipeline():
            first = connection.execute("select count(*) from things")
            second = connection.execute("update things set number = 0")
            assert (first.fetchone(), second.rowcount) == ((3,), 3)
        with connection.transaction(), connection.cursor(name="far") as far:
            far.execute("select name from things")
            assert len(far.fetchall()) == 3


async def asynchronous() -> None:
    async with await psycopg.AsyncConnection.connect(WHERE, autocommit=True) as connection:
        cursor = connection.cursor()
        await cursor.execute("delete from things where number = %s", (0,))
        await cursor.executemany("insert into things values (%s, %s)", [(1, "a"), (2, "b")])
        async with cursor.copy("copy things to stdout") as copy:
            assert len([row async for row in copy.rows()]) == 2
        assert [row async for row in cursor.stream("select name from things")] == [("a",), ("b",)]
        with suppress(psycopg.errors.DivisionByZero):
            await cursor.execute("select 1 / 0")
        async with connection.cursor(name="far") as far, connection.transaction():
            await far.execute("select name from things")


synchronous()
asyncio.run(asynchronous())
