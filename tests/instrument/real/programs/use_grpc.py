import asyncio
from concurrent.futures import ThreadPoolExecutor

import grpc

PATH = "/shop.Orders/Take"


def take(request: bytes, context: grpc.ServicerContext) -> bytes:
    return request


async def take_later(request: bytes, context: grpc.ServicerContext) -> bytes:
    return request


def handlers(behaviour) -> grpc.GenericRpcHandler:
    method = grpc.unary_unary_rpc_method_handler(behaviour)
    return grpc.method_handlers_generic_handler("shop.Orders", {"Take": method})


def synchronous() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((handlers(take),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert channel.unary_unary(PATH)(b"lamp") == b"lamp"
    server.stop(None).wait()


async def asynchronous() -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers(take_later),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert await channel.unary_unary(PATH)(b"lamp") == b"lamp"
    await server.stop(None)


synchronous()
asyncio.run(asynchronous())
