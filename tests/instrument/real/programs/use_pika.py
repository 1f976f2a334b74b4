import os

import pika

place = pika.ConnectionParameters("127.0.0.1", int(os.environ["RABBITMQ"]))
with pika.BlockingConnection(place) as connection:
    channel = connection.channel()
    channel.queue_declare("orders", auto_delete=True)
    channel.basic_publish("", "orders", b"hello")

    def take(channel, method, properties, body) -> None:
        assert body == b"hello"
        assert properties.headers["traceparent"]
        channel.basic_ack(method.delivery_tag)
        channel.stop_consuming()

    channel.basic_consume("orders", take)
    channel.start_consuming()
