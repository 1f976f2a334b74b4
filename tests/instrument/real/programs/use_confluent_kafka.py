import os

from confluent_kafka import Consumer, Producer

PLACE = f"127.0.0.1:{os.environ['KAFKA']}"
producer = Producer({"bootstrap.servers": PLACE})
producer.produce("confluent", b"hello")
producer.flush(60)
settings = {"bootstrap.servers": PLACE, "group.id": "one", "auto.offset.reset": "earliest"}
consumer = Consumer(settings)
consumer.subscribe(["confluent"])
message = None
while message is None or message.error():
    message = consumer.poll(60)
assert message.value() == b"hello"
consumer.close()
