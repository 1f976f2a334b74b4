import asyncio

from aiohttp import ClientSession, web


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=request.match_info["name"])


async def main() -> None:
    application = web.Application()
    application.router.add_get("/hello/{name}", hello)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    address = f"http://127.0.0.1:{port}/hello/you"
    async with ClientSession() as session, session.get(address) as answer:
        assert await answer.text() == "you"
    await runner.cleanup()


asyncio.run(main())
