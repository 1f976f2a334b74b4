import os

import boto3

sqs = boto3.client(
    "sqs",
    region_name="eu-west-1",
    endpoint_url=f"http://127.0.0.1:{os.environ['AWS']}",
    aws_access_key_id="none",
    aws_secret_access_key="none",
)
url = sqs.create_queue(QueueName="orders")["QueueUrl"]
sqs.send_message(QueueUrl=url, MessageBody="hello")
taken = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, MessageAttributeNames=["All"])
(message,) = taken["Messages"]
assert message["Body"] == "hello"
assert message["MessageAttributes"]["traceparent"]["StringValue"]
sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
