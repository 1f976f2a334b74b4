import asyncio
import os

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

PLACE = f"127.0.0.1:{os.environ['KAFKA']}"


async def main() -> None:
    async with AIOKafkaProducer(bootstrap_servers=PLACE) as producer:
        await producer.send_and_wait("later", b"hello")
    consumer = AIOKafkaConsumer("later", bootstrap_servers=PLACE, auto_offset_reset="earliest")
    async with consumer:
        assert (await consumer.getone()).value == b"hello"


asyncio.run(main())
