import asyncio
import os
from contextlib import suppress

import redis

PORT = int(os.environ["REDIS"])


def synchronous() -> None:
    with redis.Redis(port=PORT, db=3) as client:
        client.set("key", "secret")
        assert client.get("key") == b"secret"
        with client.pipeline() as pipeline:
            assert pipeline.set("a", 1).set("b", 2).execute() == [True, True]

        def double(pipeline: redis.client.Pipeline) -> None:
            value = int(pipeline.get("a"))
            pipeline.multi()
            pipeline.set("a", 2 * value)

        client.transaction(double, "a")
        script = client.register_script("return redis.call('get', KEYS[1])")
        assert script(keys=["a"]) == b"2"
        with suppress(redis.ResponseError):
            client.lpush("key", "no list")
        with client.pipeline() as pipeline:
            pipeline.lpush("key", "no list")
            with suppress(redis.ResponseError):
                pipeline.execute()


async def asynchronous() -> None:
    async with redis.asyncio.Redis(port=PORT) as client:
        await client.set("key", "secret")
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.get("key")
            pipeline.exists("key")
            assert await pipeline.execute() == [b"secret", 1]
        with suppress(redis.ResponseError):
            await client.lpush("key", "no list")


def unreachable() -> None:
    with redis.Redis(port=1) as client, suppress(redis.ConnectionError):
        client.ping()


synchronous()
asyncio.run(asynchronous())
unreachable()
