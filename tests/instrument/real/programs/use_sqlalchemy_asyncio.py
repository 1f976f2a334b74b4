import asyncio
import os

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine


async def main(driver: str) -> None:
    place = f"app@127.0.0.1:{os.environ['POSTGRES']}/postgres"
    engine = create_async_engine(f"postgresql+{driver}://{place}", pool_pre_ping=True)
    async with engine.connect() as connection:
        assert (await connection.execute(text("select 7"))).scalar() == 7
    async with engine.begin() as connection:
        await connection.execute(text("create temp table things (a int)"))
    async with engine.connect() as connection, connection.begin() as transaction:
        async with connection.begin_nested():
            await connection.execute(text("insert into things values (1)"))
        await transaction.rollback()
    await engine.dispose()


asyncio.run(main("psycopg"))
asyncio.run(main("asyncpg"))
