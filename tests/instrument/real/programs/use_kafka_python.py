import os

from kafka import KafkaConsumer, KafkaProducer

PLACE = f"127.0.0.1:{os.environ['KAFKA']}"
producer = KafkaProducer(bootstrap_servers=PLACE)
producer.send("plain", b"hello").get(60)
producer.close()
consumer = KafkaConsumer("plain", bootstrap_servers=PLACE, auto_offset_reset="earliest")
assert next(consumer).value == b"hello"
consumer.close()
