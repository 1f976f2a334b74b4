import asyncio

import aiosqlite
from opentelemetry import trace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine


async def main() -> None:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.connect() as connection:
        assert (await connection.execute(text("select 7"))).scalar() == 7
    await engine.dispose()
    async with aiosqlite.connect(":memory:") as connection:
        with trace.get_tracer("shop").start_as_current_span("outside"):
            await connection.execute("select 7")


asyncio.run(main())
