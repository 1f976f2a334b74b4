import asyncio
import os

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine


async def main(driver: str) -> None:
    place = f"app@127.0.0.1:{os.environ['POSTGRES']}/postgres"
    engine = create_async_engine(f"postgresql+{driver}://{place}")
    async with engine.connect() as connection:
        assert (await connection.execute(text("select 7"))).scalar() == 7
    await engine.dispose()


asyncio.run(main("psycopg"))
asyncio.run(main("asyncpg"))
