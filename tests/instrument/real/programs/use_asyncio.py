import asyncio


async def work() -> str:
    return "done"


async def main() -> None:
    assert await asyncio.gather(work(), asyncio.to_thread(len, "1234")) == ["done", 4]


asyncio.run(main())
