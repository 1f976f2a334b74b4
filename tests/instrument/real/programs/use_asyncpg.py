import asyncio
import os

import asyncpg


async def main() -> None:
    port = int(os.environ["POSTGRES"])
    connection = await asyncpg.connect(host="127.0.0.1", port=port, user="app", database="postgres")
    assert await connection.fetchval("select $1::int", 7) == 7
    await connection.close()


asyncio.run(main())
